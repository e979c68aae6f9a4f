"""`mixlab restore`: bring tracked artifacts back, or say which cannot be had."""

from collections.abc import Sequence
from pathlib import Path

import click

from mixlab.artifacts.pointers import read_pointer
from mixlab.artifacts.recompute import read_recompute, write_recompute
from mixlab.artifacts.restoring import Missing, adopt_pointer, build_error, check_fetchable, restore_artifacts
from mixlab.artifacts.states import Name, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import example, json_option, open_store, print_json, render_bytes, render_count
from mixlab.cli._selection import count_stages, describe_names, is_key, plan_named, select_names
from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.planfile import read_plan
from mixlab.plan.stages import STAGES


@click.command(epilog=example("mixlab restore", "mixlab restore 431bfac04c1bd901", "mixlab restore ipt"))
@click.argument("what", nargs=-1, metavar="[KEY|STAGE|STUDY]...")
@click.option(
    "--plan",
    "plan_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Plan file of the run to fetch for.",
)
@click.option("--recompute-missing", is_flag=True, help="Treat what cannot be had as undone, and fetch the rest.")
@json_option
def command(what: tuple[str, ...], plan_path: Path | None, recompute_missing: bool, as_json: bool) -> None:
    """Fetch tracked artifacts; without names, those that a run of config.yaml's study would fetch.

    Cache and remote are asked first: when something cannot be had, it is listed with key and committer, nothing is
    fetched, and the exit code is 2. A full KEY is also looked for on other branches.
    """
    store = open_store()
    lost: list[Missing] = []
    while True:
        names = find_wanted(store, what, plan_path)
        missing = check_fetchable(store, names)
        if not missing:
            break
        if not recompute_missing:
            raise build_error(missing)
        lost += missing
        write_recompute(store, read_recompute(store).union(one.name for one in missing))
    pointers = [read_pointer(store, name) for name in names]
    restored = restore_artifacts(store, names)
    if as_json:
        print_json({"restored": describe_names(restored), "undone": describe_names([one.name for one in lost])})
        return
    for one in lost:
        click.echo(f"{one}; the next run makes it again")
    size = render_bytes(sum(one.bytes for one in pointers))
    click.echo(
        f"Restored {render_count(len(restored), 'artifact')} ({size}): {count_stages(restored)}"
        if restored
        else "Nothing to restore."
    )


def find_wanted(store: Store, what: Sequence[str], plan_path: Path | None = None) -> list[Name]:
    """List the tracked, absent artifacts that are asked for, or that a run of the default study would fetch."""
    states = read_states(store, STAGES)
    if not what:
        plan = read_plan(plan_path).plan if plan_path else build_plan(store.root, check_files=False).plan
        targets = [key for keys in plan.targets.values() for key in keys]
        return [plan.nodes[key].name for key in build_demand(plan, states, targets).fetch]
    names = [name for word in what for name in _find_names(store, word)]
    lost = read_recompute(store)
    return [name for name in dict.fromkeys(names) if name not in lost and not store.is_complete(*name)]


def _find_names(store: Store, word: str) -> list[Name]:
    """Find what one word names; a key unknown here is looked for in git's history, and its pointer written."""
    states = read_states(store, STAGES)
    try:
        names = select_names(plan_named(store, [word]), states, [word])
    except ConfigError:
        adopted = adopt_pointer(store, word) if is_key(word) else None
        if adopted is None:
            raise
        return [adopted]
    if is_key(word):
        return [name if store.pointer(*name).is_file() else adopt_pointer(store, name[1]) or name for name in names]
    return [name for name in names if store.pointer(*name).is_file()]
