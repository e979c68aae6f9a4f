"""The small text files by which `dvc repro` knows what each stage is asked for and what it delivered."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.pipeline import LOCK, PIPELINE, record_pipeline
from mixlab.artifacts.restoring import restore_artifacts
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import list_every_study
from mixlab.cli._named import MEANS, METRICS, RESULTS, SCORES, find_tables, write_results
from mixlab.config.studies import load_main_config
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

PLANS = "plans"
RECEIPTS = "receipts"
TABLES = {"aggregate": (SCORES,), "report": (MEANS, METRICS)}
"""The tables in results/ and the stage that each is made from."""


def list_keys(plan: Plan, study: str) -> dict[str, list[str]]:
    """Map each stage to the sorted keys of a study: what it wants, whatever is finished."""
    wanted: dict[str, list[str]] = {stage: [] for stage in STAGES}
    for key in sorted(plan.closure(plan.targets[study])):
        wanted[plan.nodes[key].stage].append(key)
    return wanted


def write_plans(store: Store, plan: Plan, study: str) -> bool:
    """Write `plans/<study>/<stage>.txt` for every stage; return whether any of them changed."""
    folder = store.root / PLANS / study
    stale = [path for path in folder.glob("*.txt") if path.stem not in STAGES]
    for path in stale:
        path.unlink()
    written = [write_keys(folder / f"{stage}.txt", keys) for stage, keys in list_keys(plan, study).items()]
    return any([*written, *stale])


def write_receipt(
    store: Store, plan: Plan, states: States, study: str, stage: str, wanted: Mapping[str, list[str]] | None = None
) -> bool:
    """Write which of a stage's keys are finished; return whether that changed. `wanted`: `list_keys`, where known."""
    asked = list_keys(plan, study) if wanted is None else wanted
    keys = [key for key in asked[stage] if states.is_finished((stage, key))]
    return write_keys(store.root / RECEIPTS / study / f"{stage}.txt", keys)


def write_keys(path: Path, keys: list[str]) -> bool:
    """Write one key a line; return whether the file changed."""
    text = "".join(f"{key}\n" for key in keys)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return True


def record_finished(store: Store, plan: Plan) -> bool:
    """Leave plans, receipts and dvc.lock of config.yaml's study as `dvc repro` would, once the study is finished.

    So `dvc status` is clean and `dvc repro` has nothing to do after a literal `snakemake … all`. Returns whether
    dvc.lock was written.
    """
    study = load_main_config(store.root).study
    if study not in plan.targets or not (store.root / PIPELINE).is_file():
        return False
    states = read_states(store, STAGES)
    if not build_demand(plan, states, plan.targets[study]).is_empty:
        return False
    changed = [write_plans(store, plan, study)]
    wanted = list_keys(plan, study)
    changed += [write_receipt(store, plan, states, study, stage, wanted) for stage in STAGES]
    return any(changed) and record_pipeline(store)


@dataclass(frozen=True)
class Derived:
    """What was derived anew: every place to be staged, those whose files changed, and tables that are nobody's now."""

    places: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def rewrite_derived(store: Store) -> Derived:
    """Rewrite plans, receipts, tables and dvc.lock of every study that has some, from studies and pointers as they are.

    Tables of another aggregate or report than the study's now, which cannot be had, are removed: `dvc repro` makes them
    again, as it does every stage with something to do. Raises ConfigError when a study cannot be planned.
    """
    studies = [study for study in list_every_study(store.root) if (store.root / PLANS / study).is_dir()]
    if not studies:
        return Derived()
    places = [f"{folder}/{study}" for folder in (PLANS, RECEIPTS, RESULTS) for study in studies]
    before = {place: _read_files(store.root / place) for place in (*places, LOCK)}
    plan = build_plan(store.root, studies, check_files=False).plan
    unfinished: dict[str, set[str]] = {}
    removed: list[str] = []
    for study in studies:
        old = {stage: _read_text(store.root / PLANS / study / f"{stage}.txt") for stage in TABLES}
        write_plans(store, plan, study)
        unfinished[study] = _rewrite_receipts(store, plan, study)
        lacking = _rewrite_tables(store, plan, study)
        unfinished[study] |= lacking
        stale = [stage for stage in lacking if old[stage] != _read_text(store.root / PLANS / study / f"{stage}.txt")]
        removed += _remove_tables(store, study, stale)
    study = load_main_config(store.root).study
    if study in studies and (store.root / PIPELINE).is_file():
        record_pipeline(store, unfinished[study])
        places.append(LOCK)
    changed = [place for place in places if before[place] != _read_files(store.root / place)]
    return Derived(tuple(places), tuple(changed), tuple(removed))


def _read_files(place: Path) -> dict[Path, bytes]:
    paths = [place, *place.rglob("*")] if place.exists() else []
    return {path: path.read_bytes() for path in paths if path.is_file()}


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _remove_tables(store: Store, study: str, stages: Iterable[str]) -> list[str]:
    """Remove the tables of a study that are made from some stages; return those that were there."""
    paths = [store.root / RESULTS / study / table for stage in sorted(stages) for table in TABLES[stage]]
    there = [path for path in paths if path.is_file()]
    for path in there:
        path.unlink()
    return [path.relative_to(store.root).as_posix() for path in there]


def _rewrite_receipts(store: Store, plan: Plan, study: str) -> set[str]:
    """Write a study's receipts; return the stages that have something to do."""
    states = read_states(store, STAGES)
    wanted = list_keys(plan, study)
    for stage in STAGES:
        write_receipt(store, plan, states, study, stage)
    return {stage for stage, keys in wanted.items() if not all(states.is_finished((stage, key)) for key in keys)}


def _rewrite_tables(store: Store, plan: Plan, study: str) -> set[str]:
    """Write a study's tables, whose artifacts are fetched if need be; return the stages of those that cannot be had."""
    names = list(find_tables(plan, study).items())
    for name in names:
        if not store.is_complete(*name) and store.pointer(*name).is_file():
            with suppress(ArtifactError):
                restore_artifacts(store, [name])
    write_results(store, plan)
    return {name[0] for name in names if not store.is_complete(*name)}
