"""`mixlab page`: a finished study as a page, with all its answers beside it."""

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import example, json_option, open_store, print_json, render_bytes, render_count
from mixlab.cli._price_actual import compare_actual
from mixlab.cli._pricing import Terms
from mixlab.config.problems import ConfigError
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.stages import STAGES
from mixlab.report.tables import Section

if TYPE_CHECKING:
    from mixlab.stages.pages import Shelf

PAGES = "pages"


@click.command(epilog=example("mixlab page demo", "mixlab page demo --to for_the_customer"))
@click.argument("study", required=False)
@click.option("--to", "-o", type=click.Path(path_type=Path), help="Folder for the page; absent: pages/STUDY.")
@json_option
def command(study: str | None, to: Path | None, as_json: bool) -> None:
    """Write a finished study as a page: findings, tables, figures, every answer, and where each number comes from.

    Open FOLDER/index.html in a browser; it needs the files beside it and no network. A page that is there is replaced,
    any other folder refused. What was discarded or not pulled is named on the page. Without STUDY: the study of
    config.yaml.
    """
    store = open_store()
    planned = build_plan(store.root, [study] if study else (), check_files=False)
    names = list(planned.plan.targets)
    if len(names) != 1:
        raise ConfigError(f"a page is of one study, config.yaml names {', '.join(names)}; name the one that is meant")
    folder = to or Path(PAGES) / names[0]
    # a page brings pandas and matplotlib along, which take a moment
    from mixlab.stages.pages import Shelf

    states = read_states(store, STAGES)
    shelf = Shelf(store, states, planned.plan, names[0], planned.files)
    try:
        answers = _write(shelf, planned, folder)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.filename}: {error.strerror}") from error
    _print(names[0], folder, answers, as_json)


def _write(shelf: "Shelf", planned: Planned, folder: Path) -> int:
    """Write the page beside its place, and let it take that place when it is whole."""
    from mixlab.report.site.site import PAGE, write_site
    from mixlab.stages.pages import gather_site

    if folder.exists() and not ((folder / PAGE).is_file() and (folder / "data/index.js").is_file()):
        raise ConfigError(f"{folder}: is there already and is no page; name another folder with --to, or remove it")
    sets = sum(len(shelf.plan.nodes[key].parents["results"]) for key in shelf.aggregate.parents["scores"])
    price = partial(_build_price, shelf.store, planned, shelf.states)
    with tqdm(total=2 * sets, desc=f"page of {shelf.study}", leave=False, disable=None) as bar:
        inputs = gather_site(shelf, planned.config.machine, price, bar.update)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent) as beside:
            part, old = Path(beside) / "page", Path(beside) / "old"
            part.mkdir()
            answers = write_site(inputs, part, bar.update)
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
    return answers


def _build_price(store: Store, planned: Planned, states: States) -> Section:
    """Predictions beside what was made, as `mixlab price --actual` compares them."""
    from mixlab.report.site.prices import build_price_section

    compared = compare_actual(store, planned, states, Terms(), None)
    return build_price_section(compared.stages, compared.unmade)


def _print(study: str, folder: Path, answers: int, as_json: bool) -> None:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if as_json:
        names = [path.relative_to(folder).as_posix() for path in files]
        print_json({"study": study, "folder": str(folder), "answers": answers, "bytes": size, "files": names})
        return
    click.echo(f"{folder / 'index.html'}: {render_count(answers, 'answer')}")
    click.echo(f"{render_count(len(files), 'file')}, {render_bytes(size)}: open it in a browser, pass the folder on")
