"""What people see: links with readable names, and the final tables beside the code."""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.plan.graph import Plan

NAMED = "named"
RESULTS = "results"
SCORES, MEANS, METRICS = "scores.csv", "means.csv", "metrics.json"


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


def find_reports(plan: Plan) -> dict[str, str]:
    """Map each study to the key of its report."""
    return {
        study: key for study, targets in plan.targets.items() for key in targets if plan.nodes[key].stage == "report"
    }


def find_tables(plan: Plan, study: str) -> dict[str, str]:
    """Map each stage that tables in results/ are made from to the key of the study's artifact of it."""
    keys = {"aggregate": find_aggregates(plan).get(study), "report": find_reports(plan).get(study)}
    return {stage: key for stage, key in keys.items() if key is not None}


def write_results(store: Store, plan: Plan) -> list[Path]:
    """Write the tables that are here to `results/<study>/`; return those that changed.

    Of the aggregate every score (`scores.csv`, under keys); of the report what bears names: every mean with its errors
    (`means.csv`), and the means alone for DVC's tables (`metrics.json`).
    """
    wanted: dict[Path, bytes] = {}
    for study, key in find_aggregates(plan).items():
        if store.is_complete("aggregate", key):
            wanted |= _read(store.folder("aggregate", key) / SCORES, store.root / RESULTS / study / SCORES)
    for study, key in find_reports(plan).items():
        folder = store.folder("report", key)
        if store.is_complete("report", key):
            wanted |= _read(folder / "tables/cells.csv", store.root / RESULTS / study / MEANS)
            metrics = _read(folder / METRICS, store.root / RESULTS / study / METRICS)
            compared = _read_win_rates(folder / "tables/pairwise.csv")
            wanted |= {path: render_metrics(json.loads(text), compared) for path, text in metrics.items()}
    changed = [path for path, text in wanted.items() if not path.is_file() or path.read_bytes() != text]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(wanted[path])
        temporary.replace(path)
    return changed


def _read(source: Path, target: Path) -> dict[Path, bytes]:
    return {target: source.read_bytes()} if source.is_file() else {}


def _read_win_rates(path: Path) -> dict[str, Any]:
    """Nest the win rates on whole benchmarks by variant, whom it was compared against, stage and benchmark."""
    rates: dict[str, Any] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if not row["category"] and row["win_rate"]]
        for row in rows:
            place = rates.setdefault(row["variant"], {}).setdefault(row["against"], {}).setdefault(row["stage"], {})
            place[row["benchmark"]] = float(row["win_rate"])
    return rates


def render_metrics(metrics: Mapping[str, Any], win_rates: Mapping[str, Any] | None = None) -> bytes:
    """Render what `dvc metrics` compares: a mean for each variant, stage, benchmark and measure; effects; win rates.

    Errors and counts stay in `means.csv`: each number here is a column of `dvc exp show`. Without comparisons there
    are no win rates.
    """
    scores = {
        variant: {
            stage: {
                benchmark: {measure: one["mean"] for measure, one in measures.items() if "mean" in one}
                for benchmark, measures in benchmarks.items()
            }
            for stage, benchmarks in stages.items()
        }
        for variant, stages in metrics["scores"].items()
    }
    effects = {name: one["difference"] for name, one in metrics["effects"].items() if "difference" in one}
    told = {"effects": effects, "scores": scores, **({"win_rates": win_rates} if win_rates else {})}
    text = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()
