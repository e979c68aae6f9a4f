"""`mixlab restore`: bring tracked artifacts back, or say which cannot be had."""

from collections.abc import Collection, Sequence
from pathlib import Path

import click

from mixlab.artifacts.pointers import Pointer, read_pointer
from mixlab.artifacts.recompute import read_recompute, write_recompute
from mixlab.artifacts.restoring import Missing, adopt_pointers, build_error, check_fetchable, restore_artifacts
from mixlab.artifacts.states import Name, read_states
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import require_agreeing
from mixlab.cli._common import (
    example,
    json_option,
    list_every_study,
    open_store,
    print_json,
    render_bytes,
    render_count,
)
from mixlab.cli._lookup import choose_pointers, find_everywhere, require_asked
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
    fetched, and the exit code is 2. A KEY is also looked for on other branches; its pointer is written once the data
    is here. What is here with other bytes than its pointer names is an error as well.
    """
    store = open_store()
    lost: list[Missing] = []
    adopted = find_elsewhere(store, what)
    while True:
        names = find_wanted(store, what, plan_path, {one.name for one in adopted})
        missing = check_fetchable(store, names)
        if not missing:
            break
        if not recompute_missing:
            raise build_error(missing)
        lost += missing
        write_recompute(store, read_recompute(store).union(one.name for one in missing))
    pointers = [one for one in adopted if not store.is_complete(*one.name)]
    pointers += [read_pointer(store, name) for name in names]
    here = [one.name for one in adopted if store.is_complete(*one.name)]
    restored = [*adopt_pointers(store, adopted), *restore_artifacts(store, names)]
    if as_json:
        print_json(
            {
                "restored": describe_names(restored),
                "pointers": describe_names([one.name for one in adopted]),
                "undone": describe_names([one.name for one in lost]),
            }
        )
        return
    for stage, key in here:
        click.echo(f"{stage} {key}: here already; its pointer is written, tracked/{stage}/{key}.dvc")
    for one in lost:
        click.echo(f"{one}; the next run makes it again")
    size = render_bytes(sum(one.bytes for one in pointers))
    if restored:
        click.echo(f"Restored {render_count(len(restored), 'artifact')} ({size}): {count_stages(restored)}")
    elif not here:
        click.echo("Nothing to restore.")


def find_elsewhere(store: Store, what: Sequence[str]) -> list[Pointer]:
    """Find the pointers to the keys of `what` that are not tracked here, on other branches and in history.

    Raises ArtifactError where branches track several sets of bytes, or others than those that are here.
    """
    states = read_states(store, STAGES)
    pointers = []
    for word in what:
        is_word = word in STAGES or word in list_every_study(store.root)
        if is_word or not is_key(word) or any(store.tracked.glob(f"*/{word}*.dvc")):
            continue
        known = [name for name in states.complete | states.discarded if name[1].startswith(word)]
        try:
            found = find_everywhere(store, [word])
        except ConfigError:
            if not known:
                raise
            continue
        say = "mixlab fetch {keys} --digest DIGEST fetches one, mixlab track {keys} then keeps it"
        pointers += choose_pointers(store, found, say=say)
    require_asked(store, [one for one in pointers if store.is_complete(*one.name)])
    return pointers


def find_wanted(
    store: Store, what: Sequence[str], plan_path: Path | None = None, without: Collection[Name] = ()
) -> list[Name]:
    """List the tracked, absent artifacts that are asked for, or that a run of the default study would fetch.

    `without`: what other branches track; it is brought by itself. Raises ArtifactError for what is here with other
    bytes than its pointer names.
    """
    states = read_states(store, STAGES)
    if not what:
        plan = read_plan(plan_path).plan if plan_path else build_plan(store.root, check_files=False).plan
        targets = [key for keys in plan.targets.values() for key in keys]
        return [plan.nodes[key].name for key in build_demand(plan, states, targets).fetch]
    own = [word for word in what if not any(key.startswith(word) for _, key in without)]
    names = select_names(plan_named(store, own), states, own) if own else []
    explicit = {name for name in names if any(is_key(word) and name[1].startswith(word) for word in own)}
    names = [name for name in names if name in explicit or store.pointer(*name).is_file()]
    require_agreeing(store, names)
    lost = read_recompute(store)
    return [name for name in names if name not in lost and not store.is_complete(*name)]
