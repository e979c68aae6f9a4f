"""`mixlab export`: a mixture as files for a trainer that is not ours."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import example, json_option, open_store, print_json, render_bytes, study_option
from mixlab.cli.explain import find_node, plan_studies
from mixlab.config.problems import ConfigError
from mixlab.data.exports.export import Exported
from mixlab.plan.behind import find_behind
from mixlab.plan.stages import STAGES
from mixlab.stages.exports import Form, write_export

_COMMAND = "mixlab export 'even/mixture_seed 1/mixture' --study micro --format megatron --to exports/even"


@click.command(epilog=example(_COMMAND))
@click.argument("what", metavar="MIXTURE")
@study_option
@click.option(
    "--format",
    "form",
    type=click.Choice(("megatron", "windows")),
    required=True,
    help="megatron: a blend of Megatron-LM's indexed datasets; windows: the mixture's windows in training order.",
)
@click.option("--to", type=click.Path(path_type=Path), required=True, help="Folder to make; it must not be there.")
@click.option("--at", metavar="PLACE", help="Where the trainer will find the folder; absent: what --to says.")
@click.option("--responses", is_flag=True, help="Write as well which tokens belong to answers.")
@click.option("--link", is_flag=True, help="Hard-link token stores into a blend instead of copying them.")
@json_option
def command(
    what: str, studies: Sequence[str], form: Form, to: Path, at: str | None, responses: bool, link: bool, as_json: bool
) -> None:
    """Export a mixture, named by its key or label; its README says what the files are and what differs.

    The folder appears when it is whole.
    """
    if link and form == "windows":
        raise click.UsageError("--link belongs to --format megatron: windows are written anew, and link nothing")
    store = open_store()
    plan = plan_studies(store.root, studies)
    behind = find_behind(plan, find_node(plan, what, "mixture", read_states(store, STAGES)))
    exported = Exported(behind.mixture.label, behind.mixture.key, at or to.as_posix(), responses, link)
    try:
        if to.exists():
            raise ConfigError(f"{to}: is there already; name another folder, or remove it")
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{to.name}.", suffix=".part", dir=to.parent) as beside:
            # within it, since it is its owner's alone
            part = Path(beside) / "export"
            part.mkdir()
            write_export(behind, lambda node: store.open(*node.name), exported, form, part)
            part.rename(to)
    except OSError as error:
        raise ConfigError(f"{to}: cannot be exported: {error.filename}: {error.strerror}") from error
    _print(to, form, as_json)


def open_mixture(root: Path, what: str, *studies: str) -> tuple[Path, list[Path], list[Path]]:
    """Find and verify a mixture by its key or label, with its packs and token stores: what `MixtureDataset` takes.

    `root` is a working folder, the one with config.yaml. Raises ArtifactError for what is not here.
    """
    store = Store(root)
    plan = plan_studies(root, studies)
    behind = find_behind(plan, find_node(plan, what, "mixture", read_states(store, STAGES)))
    packs, stores = ([store.open(*node.name) for node in nodes] for nodes in (behind.packs, behind.stores))
    return store.open(*behind.mixture.name), packs, stores


def _print(to: Path, form: str, as_json: bool) -> None:
    files = {path.relative_to(to).as_posix(): path.stat().st_size for path in sorted(to.rglob("*")) if path.is_file()}
    if as_json:
        print_json({"folder": str(to), "format": form, "files": files})
        return
    for name, size in files.items():
        click.echo(f"{render_bytes(size):>10}  {name}")
    click.echo(f"{to}: what is what stands in README.md")
