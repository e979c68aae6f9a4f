"""The small text files by which `dvc repro` knows what each stage is asked for and what it delivered."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.pipeline import LOCK, PIPELINE, record_pipeline
from mixlab.artifacts.restoring import restore_artifacts
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import list_studies
from mixlab.cli._named import RESULTS, find_aggregates, write_results
from mixlab.config.studies import load_main_config
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

PLANS = "plans"
RECEIPTS = "receipts"


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


def rewrite_derived(store: Store) -> list[str]:
    """Rewrite plans, receipts, tables and dvc.lock of every study that has some, from studies and pointers as they are.

    A table whose aggregate cannot be had is left for `dvc repro`, as is every stage with something to do. Returns the
    places that may have changed. Raises ConfigError when a study cannot be planned.
    """
    studies = [study for study in list_studies(store.root) if (store.root / PLANS / study).is_dir()]
    if not studies:
        return []
    plan = build_plan(store.root, studies, check_files=False).plan
    unfinished: dict[str, set[str]] = {}
    for study in studies:
        write_plans(store, plan, study)
        unfinished[study] = _rewrite_receipts(store, plan, study)
        if not _rewrite_tables(store, plan, study):
            unfinished[study].add("aggregate")
    places = [f"{folder}/{study}" for folder in (PLANS, RECEIPTS, RESULTS) for study in studies]
    study = load_main_config(store.root).study
    if study in studies and (store.root / PIPELINE).is_file():
        record_pipeline(store, unfinished[study])
        places.append(LOCK)
    return places


def _rewrite_receipts(store: Store, plan: Plan, study: str) -> set[str]:
    """Write a study's receipts; return the stages that have something to do."""
    states = read_states(store, STAGES)
    wanted = list_keys(plan, study)
    for stage in STAGES:
        write_receipt(store, plan, states, study, stage)
    return {stage for stage, keys in wanted.items() if not all(states.is_finished((stage, key)) for key in keys)}


def _rewrite_tables(store: Store, plan: Plan, study: str) -> bool:
    """Write a study's tables from its aggregate, which is fetched if need be; False when it cannot be had."""
    name = ("aggregate", find_aggregates(plan)[study])
    if not store.is_complete(*name) and store.pointer(*name).is_file():
        with suppress(ArtifactError):
            restore_artifacts(store, [name])
    if store.is_complete(*name):
        write_results(store, plan)
    return store.is_complete(*name)
