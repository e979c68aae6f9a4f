"""`mixlab track`: put finished artifacts under DVC, and what people read beside the code."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mixlab.artifacts.clashes import Clash, find_clashes
from mixlab.artifacts.history import is_repository, list_uncommitted
from mixlab.artifacts.pointers import Pointer
from mixlab.artifacts.recompute import read_recompute
from mixlab.artifacts.states import Name, read_states
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import describe_stray, find_strays
from mixlab.artifacts.tracking import list_copies, list_untracked, push_artifacts, track_artifacts
from mixlab.cli._clashes import BROKEN, describe_clashes, judge_clash, render_clash
from mixlab.cli._common import example, json_option, open_store, print_json, render_bytes, render_count
from mixlab.cli._named import RESULTS, refresh_named, write_results
from mixlab.cli._receipts import record_finished
from mixlab.cli._selection import count_stages, describe_names, is_key, plan_named, select_names
from mixlab.plan.graph import Plan
from mixlab.plan.planfile import read_plan
from mixlab.plan.stages import STAGES

SWITCH = "MIXLAB_TRACK"
"""Environment variable: `off` inside `dvc repro`, where `mixlab deliver` tracks instead."""

BROKEN_PROMISE = 1
"""Exit code when another branch tracks other bytes of a key whose stage promises the same (both are tracked), and when
what is tracked here already has other bytes than its pointer names."""

COMMITTED = ("tracked", "discarded", "provenance", "canaries", "dvc.lock")
COMMITTED_BY_STUDY = ("plans", "receipts", RESULTS)
"""What tracking changes and git keeps."""


@click.command(epilog=example("mixlab track", "mixlab track ipt average --push", "mixlab track 431bfac04c1bd901"))
@click.argument("what", nargs=-1, metavar="[KEY|STAGE|STUDY]...")
@click.option("--push", is_flag=True, help="Upload to the DVC remote, before a pointer is written.")
@click.option("--after-run", type=click.Path(path_type=Path), metavar="PLAN", hidden=True)
@json_option
def command(what: tuple[str, ...], push: bool, after_run: Path | None, as_json: bool) -> None:
    """Give every whole artifact a pointer that git can keep; without names, those of the study of config.yaml.

    Refreshes the links in named/ and the tables in results/, and prints the git and DVC commands it leaves to you.
    """
    store = open_store()
    if after_run is not None:
        track_after_run(store, after_run)
        return
    plan = plan_named(store, what)
    names = select_names(plan, read_states(store, STAGES), what)
    named = {name for name in names if any(is_key(word) and name[1].startswith(word) for word in what)}
    new = [*list_untracked(store, set(names) - named), *list_copies(store, named)]
    made, clashes = track_new(store, new, push)
    uploaded = push_artifacts(store, [name for name in names if store.pointer(*name).is_file()]) if push else 0
    changed = publish(store, plan)
    if plan.targets and has_dvc(store):
        record_finished(store, plan)
    if as_json:
        card = {"tracked": describe_names([one.name for one in made]), "uploaded": uploaded, "results": changed}
        print_json({**card, "clashes": describe_clashes(clashes)})
    else:
        _print(store, plan, made, push)
        warn_clashes(clashes)
    strays = find_strays(store, names)
    for name in strays:
        click.echo(describe_stray(store, name), err=True)
    if strays or any(judge_clash(clash) == BROKEN for clash in clashes):
        sys.exit(BROKEN_PROMISE)


def track_new(store: Store, names: Sequence[Name], push: bool = False) -> tuple[list[Pointer], list[Clash]]:
    """Track artifacts, and find of which a branch tracks other bytes; what was lost and made again replaces its own."""
    lost = read_recompute(store)
    made = track_artifacts(store, names, push=push)
    return made, find_clashes(store, [one.name for one in made if one.name not in lost])


def warn_clashes(clashes: Sequence[Clash]) -> None:
    """Say of which new pointers another branch has other bytes; both are tracked until somebody keeps one."""
    for clash in clashes:
        click.echo("\n".join(render_clash(clash)), err=True)


def publish(store: Store, plan: Plan) -> list[str]:
    """Refresh links and tables of a plan's studies; return the tables that changed."""
    refresh_named(store, plan, read_states(store, STAGES))
    return [path.relative_to(store.root).as_posix() for path in write_results(store, plan)]


def has_dvc(store: Store) -> bool:
    """Whether artifacts can be tracked here: in a git repository with DVC in it."""
    return (store.root / ".dvc").is_dir() and is_repository(store.root)


def track_after_run(store: Store, plan_file: Path) -> None:
    """Track what a Snakemake run finished, in one line; nothing where there is no repository, or inside `dvc repro`."""
    plan = read_plan(plan_file).plan
    publish(store, plan)
    if os.environ.get(SWITCH) == "off":
        return
    if not has_dvc(store):
        click.echo("mixlab: no git and DVC repository here, so nothing is tracked", err=True)
        return
    made = track_plan(store, plan)
    if made:
        click.echo(f"mixlab: {_summarise(made)}; `mixlab track` says what is left to you", err=True)


def track_plan(store: Store, plan: Plan) -> list[Pointer]:
    """Track every whole artifact of a plan, and bring receipts and dvc.lock of a finished study up to date."""
    made, clashes = track_new(store, list_untracked(store, [node.name for node in plan.nodes.values()]))
    warn_clashes(clashes)
    record_finished(store, plan)
    return made


def _summarise(made: Sequence[Pointer]) -> str:
    size = render_bytes(sum(one.bytes for one in made))
    return f"Tracked {render_count(len(made), 'artifact')} ({size}): {count_stages([one.name for one in made])}"


def _print(store: Store, plan: Plan, made: Sequence[Pointer], push: bool) -> None:
    click.echo(f"{_summarise(made)}." if made else "Nothing new to track.")
    for line in list_commands(store, plan, push):
        click.echo(line)


def list_commands(store: Store, plan: Plan, push: bool) -> list[str]:
    """List the commands that are left to the user: what git does not have yet, and what no remote may have."""
    places = [*COMMITTED, *(f"{folder}/{study}" for study in plan.targets for folder in COMMITTED_BY_STUDY)]
    files = list_uncommitted(store.root, places) if has_dvc(store) else []
    if not files:
        return []
    changed = [place for place in places if any(file == place or file.startswith(f"{place}/") for file in files)]
    pointers = [file for file in files if file.endswith(".dvc")]
    message = f"{', '.join(plan.targets) or 'artifacts'}: {render_count(len(pointers), 'pointer')}"
    lines = ["Left to you:", f"  git add --all {shlex.join(changed)}", f"  git commit -m {shlex.quote(message)}"]
    stages = [stage for stage in STAGES if any(file.startswith(f"tracked/{stage}/") for file in pointers)]
    if stages and not push:
        lines.append(f"  dvc push --recursive {' '.join(f'tracked/{stage}' for stage in stages)}")
    return lines
