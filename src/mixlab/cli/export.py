"""`mixlab export`: a mixture as files for a trainer that is not ours, or a model with its card."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import click

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import example, json_option, open_store, print_json, render_bytes, study_option
from mixlab.cli._export_model import export_model
from mixlab.cli.explain import find_node, plan_studies
from mixlab.config.problems import ConfigError
from mixlab.data.exports.export import Exported
from mixlab.plan.behind import find_behind
from mixlab.plan.stages import STAGES
from mixlab.stages.exports import Form, write_export

_COMMAND = "mixlab export 'even/mixture_seed 1/mixture' --study micro --format megatron --to exports/even"
_MODEL_COMMAND = "mixlab export 431bfac0 --study micro --format transformers --to exports/model"
_NO_LICENCE = "unknown"


@click.command(epilog=example(_COMMAND, _MODEL_COMMAND))
@click.argument("what", metavar="MIXTURE|MODEL")
@study_option
@click.option(
    "--format",
    "form",
    type=click.Choice(("megatron", "windows", "transformers")),
    required=True,
    help="megatron: a blend of Megatron-LM's indexed datasets; windows: the mixture's windows in training order; "
    "transformers: a model's folder with its tokenizer and a card.",
)
@click.option("--to", type=click.Path(path_type=Path), required=True, help="Folder to make; it must not be there.")
@click.option("--at", metavar="PLACE", help="Where the trainer will find the folder; absent: what --to says.")
@click.option("--responses", is_flag=True, help="Write as well which tokens belong to answers.")
@click.option("--link", is_flag=True, help="Hard-link token stores into a blend instead of copying them.")
@click.option("--member", metavar="NAME", help="Of a run with several models, which: last-00 (newest), epoch-1.")
@click.option("--licence", metavar="ID", help="Licence of the model for its card, as Hugging Face names it.")
@json_option
def command(
    what: str,
    studies: Sequence[str],
    form: Form | Literal["transformers"],
    to: Path,
    at: str | None,
    responses: bool,
    link: bool,
    member: str | None,
    licence: str | None,
    as_json: bool,
) -> None:
    """Export a mixture or a model, named by its key or label; its README says what it is and where it comes from.

    The folder appears when it is whole. --member and --licence belong to models; without --licence the card says
    unknown, and names the licences of all data.
    """
    if link and form == "windows":
        raise click.UsageError("--link belongs to --format megatron: windows are written anew, and link nothing")
    if form == "transformers" and (at or responses or link):
        raise click.UsageError("--at, --responses and --link belong to mixtures; leave them out of a model's export")
    if form != "transformers" and (member or licence):
        raise click.UsageError("--member and --licence belong to models; add --format transformers, or leave them out")
    store = open_store()
    if form == "transformers":
        write: Callable[[Path], None] = partial(
            export_model, store, what, studies, member or "", licence or _NO_LICENCE
        )
    else:
        plan = plan_studies(store.root, studies)
        behind = find_behind(plan, find_node(plan, what, "mixture", read_states(store, STAGES)))
        exported = Exported(behind.mixture.label, behind.mixture.key, at or to.as_posix(), responses, link)
        write = partial(write_export, behind, lambda node: store.open(*node.name), exported, form)
    try:
        if to.exists():
            raise ConfigError(f"{to}: is there already; name another folder, or remove it")
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{to.name}.", suffix=".part", dir=to.parent) as beside:
            # within it, since it is its owner's alone
            part = Path(beside) / "export"
            part.mkdir()
            write(part)
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
