"""What people see: links with readable names, and the final tables beside the code."""

import os
import shutil
from pathlib import Path

from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.plan.graph import Plan

NAMED = "named"
RESULTS = "results"
TABLES = ("metrics.json", "scores.csv")


def refresh_named(store: Store, plan: Plan, states: States) -> int:
    """Make `named/<study>/…` link to the plan's artifacts that are here; return the number of links.

    Links are relative; nothing reads them. Where labels of other artifacts lie below a label, its link stands there
    too, under the name of its stage: `…/average` becomes `…/average/average`.
    """
    wanted = _place_links(plan, states)
    for study in plan.targets:
        folder = store.root / NAMED / study
        for path in sorted(folder.rglob("*"), reverse=True) if folder.is_dir() else ():
            if path.is_symlink() and wanted.get(path.relative_to(store.root / NAMED).as_posix()) != str(
                path.readlink()
            ):
                path.unlink()
            elif path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
    for place, target in wanted.items():
        path = store.root / NAMED / place
        if not path.is_symlink():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
    return len(wanted)


def _place_links(plan: Plan, states: States) -> dict[str, str]:
    """Map each link's place below `named/` to its target, for what is complete; places depend on the plan alone."""
    owners = {_clean(label): node for node in plan.nodes.values() for label in node.labels}
    folders = {place.rsplit("/", depth)[0] for place in owners for depth in range(1, place.count("/") + 1)}
    links = {}
    for label, node in sorted(owners.items()):
        place = label
        while place in folders:
            place = f"{place}/{node.stage}"
        if node.name in states.complete:
            links[place] = "../" * (place.count("/") + 1) + f"artifacts/{node.stage}/{node.key}"
    return links


def _clean(label: str) -> str:
    """Turn a label into a path below `named/`: parts that a file system gives another meaning are marked."""
    parts = [part.replace("\0", " ").strip() for part in label.split("/")]
    return "/".join(f"{part}_" if part in ("", ".", "..") else part for part in parts)


def find_aggregates(plan: Plan) -> dict[str, str]:
    """Map each study to the key of its aggregate."""
    return {
        study: key
        for study, targets in plan.targets.items()
        for target in targets
        for key in (target, *plan.nodes[target].inputs())
        if plan.nodes[key].stage == "aggregate"
    }


def write_results(store: Store, plan: Plan) -> list[Path]:
    """Copy the tables of each finished aggregate to `results/<study>/`; return those that changed."""
    changed = []
    for study, key in find_aggregates(plan).items():
        for name in TABLES:
            source = store.folder("aggregate", key) / name
            target = store.root / RESULTS / study / name
            if store.is_complete("aggregate", key) and source.is_file() and not _is_same(source, target):
                _copy(source, target)
                changed.append(target)
    return changed


def _is_same(source: Path, target: Path) -> bool:
    return target.is_file() and source.read_bytes() == target.read_bytes()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, temporary)
    temporary.replace(target)
