"""The command line `mixlab`: commands are imported when they are used, so that it starts quickly."""

import errno
import importlib
import keyword
import os
from collections.abc import Sequence
from typing import Any

import click

from mixlab.artifacts.errors import ArtifactError
from mixlab.cli._errors import print_error
from mixlab.config.problems import UserError, did_you_mean

INTERRUPTED = 130
"""Exit code of a command that was stopped by Ctrl-C, as shells count it."""

_CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space, then run it again"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "check who may write there, then run it again"),
}
"""What the system refuses anywhere, and what mends it; any other error of its own is shown as it is."""

COMMANDS = {
    "plan": "What exists, what would run, what would be fetched.",
    "status": "Where a study stands: done, running, waiting, failed; live with --watch.",
    "price": "What a study or an edit costs before it runs, and what it took.",
    "noise": "Replicates of one mixture: what they cost, and the noise they show.",
    "explain": "One artifact: spec, parents, children, where it is, who made it; why it would run.",
    "diff": "What an edit would run and keep.",
    "lock": "Write the digests of source files to sources.lock.",
    "sources": "List what a registry or a study declares; check registries.",
    "track": "Put finished artifacts under DVC.",
    "restore": "Fetch tracked artifacts.",
    "fetch": "Fetch artifacts of any branch by key, for a look.",
    "merge": "After a merge of git: derived files, pointers, clashes.",
    "verify": "Compare artifacts with their digests.",
    "drift": "What was made by code that has changed since, or under unlike conditions.",
    "canary": "Make a random sample of what is cached again, and compare.",
    "discard": "Drop data that nobody needs any more.",
    "forget": "Drop the pointer of data that is lost.",
    "unlock": "Free the working folder after a killed run.",
    "cluster": "Jobs that outlived a killed run: list them, cancel them.",
    "gc": "Free space that no study, branch or tag needs.",
    "deliver": "Bring one stage of a study up to date (the stages of dvc.yaml).",
    "show": "The main table of a finished study, and where its report is.",
    "page": "A finished study as a page: findings, tables, every answer, and where each number comes from.",
    "compare": "A study's tables beside published ones; what follows from those alone.",
    "surface": "Scores as a function of a mixture's ratios: the predicted optimum, or why there is none.",
    "propose": "The mixtures worth measuring next, as a study, and what they cost.",
    "watch": "Training runs, under way or ended: loss, speed, what happened; loss curves.",
    "certificate": "What a mixture asked for and what it took, with all that is known of its sources.",
    "counts": "Samples and tokens of a study's data, by language, category and tokenizer.",
    "export": "A mixture as files for a trainer that is not ours, or a model with its card.",
    "adopt": "A checkpoint that was made elsewhere as an artifact of a study.",
    "import": "Megatron-LM's files of tokens as texts that a study can name.",
    "labels": "Category labels: their cost, and their agreement with people.",
    "judge": "Model judges: what they would cost, and what they have cost.",
    "check-benchmarks": "Check scorers on the benchmarks' own reference solutions.",
    "schema": "What may be written in a study and in config.yaml.",
}
"""Every command and what it is for; its code is `command` of `find_module(name)`."""


def find_module(name: str) -> str:
    """Name the module of a command: its name, `_` for `-`, with `_` behind where Python keeps the word for itself."""
    return f"{__name__}.{name}_" if keyword.iskeyword(name) else f"{__name__}.{name.replace('-', '_')}"


class Commands(click.Group):
    """The commands, each imported when it is asked for; a user's mistake leaves with exit code 2, no traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = find_module(cmd_name)
        try:
            command: click.Command = importlib.import_module(module).command
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            ctx.fail(f"the command '{cmd_name}' is not part of this installation: {module} is missing")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, ...]:
        """Find the command named first, or say which one may be meant."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (UserError, ArtifactError) as error:
            print_error(error)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno not in _CURES:
                raise
            place = f"{error.filename}: " if error.filename else ""
            print_error(ArtifactError(f"{place}{error.strerror}; {_CURES[error.errno]}"))
            ctx.exit(ArtifactError.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mixlab")
def mixlab() -> None:
    """Find out which data mixture to train on: plans, artifacts and their history.

    Every command works in the current folder, the one with config.yaml, and takes --json and --help.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; leaves by SystemExit.

    Matrices of a command are small: on all cores, OpenBLAS's threads would mostly wait for each other (a response
    surface on two busy cores took ten times as long). Whoever sets OPENBLAS_NUM_THREADS has another number.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    mixlab(args=None if arguments is None else list(arguments), prog_name="mixlab")
