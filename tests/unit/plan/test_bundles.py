"""Small models share a process with those planned beside them; a stage's leader stands for all of them."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from golden import plan_micro

from mixlab.artifacts.attempts import attempting
from mixlab.artifacts.states import NO_STATES, States
from mixlab.artifacts.store import Store
from mixlab.config.engines import OpenaiEngineSettings
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError
from mixlab.plan.bundles import Bundles
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Node, Plan
from mixlab.plan.jobs import list_jobs
from mixlab.plan.model_resources import ModelResources
from mixlab.plan.workflow import Flow

SERVING = ("generate", "score", "judge", "scores")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_micro()


def list_run(plan: Plan, states: States = NO_STATES) -> list[str]:
    return build_demand(plan, states, [key for keys in plan.targets.values() for key in keys]).run


def bundle(plan: Plan, models: int, parameters: int | None = 1000, **row: Any) -> Bundles:
    """Bundle all of a plan, by a table of sizes whose small row bundles so many `models`."""
    sizes = [
        {"up_to_parameters": 2000, "stages": {"generate": {"models_per_job": models, **row}}},
        {"up_to_parameters": 1e9},
    ]
    machine = MachineSettings.model_validate({"sizes": sizes})
    (base,) = plan.by_stage("pretrain")
    counts = {} if parameters is None else {base.key: parameters}
    return Bundles(ModelResources(machine, plan, counts), list_run(plan))


def count_jobs(bundles: Bundles) -> dict[str, int]:
    return {stage: sum(job[0].stage == stage for job in bundles.jobs) for stage in SERVING}


def list_models(job: list[Node]) -> list[str]:
    return list(dict.fromkeys(node.group for node in job))


@pytest.mark.parametrize(("models", "jobs"), [(1, 6), (2, 4), (3, 2), (4, 2), (100, 2)])
def test_small_models_of_one_start_share_processes_and_nothing_is_made_twice(
    plan: Plan, models: int, jobs: int
) -> None:
    bundles = bundle(plan, models)
    assert count_jobs(bundles) == dict.fromkeys(SERVING, jobs)
    assert sorted(node.key for job in bundles.jobs for node in job) == sorted(list_run(plan))
    assert sum(job[0].stage == "sft" for job in bundles.jobs) == 4
    for job in bundles.jobs:
        assert len({node.stage for node in job}) == 1
        assert all(bundles.of(node) is job for node in job)
        if job[0].stage in SERVING:
            assert len(list_models(job)) <= models
            # a model's artifacts stand together: its engine is opened once
            groups = [node.group for node in job]
            assert groups == sorted(groups, key=list_models(job).index)


def test_a_bundle_holds_what_is_fine_tuned_and_what_comes_of_it(plan: Plan) -> None:
    for job in bundle(plan, 100).jobs:
        if job[0].stage in SERVING:
            starts = {"/".join(node.label.split("/")[:4]) for node in job}
            assert len(starts) == 1
            assert len(list_models(job)) == 3


def test_seeds_of_one_start_are_fine_tuned_by_one_process(plan: Plan) -> None:
    sizes = [{"up_to_parameters": 2000, "stages": {"sft": {"models_per_job": 2, "runtime_minutes": 9}}}]
    machine = MachineSettings.model_validate({"sizes": sizes})
    (base,) = plan.by_stage("pretrain")
    flow = Flow(Store(Path()), plan, NO_STATES, machine, Path("plan.jsonl"), parameters={base.key: 1000})
    cards = {key: card for key, card in flow.list_jobs().items() if plan.nodes[key].stage in ("sft", "generate")}
    tuned = [card for key, card in cards.items() if plan.nodes[key].stage == "sft"]
    assert [len(card.keys) for card in tuned] == [2, 2]
    for card in tuned:
        assert len({plan.nodes[key].parents["model"] for key in card.keys}) == 1
        assert [plan.nodes[key].label.rsplit("/", 2)[1] for key in card.keys] == ["sft_seed 1", "sft_seed 2"]
        assert card.asked["runtime"] == 9
    # each waits for the one that makes its model, and no other is bundled by it
    assert len(cards) - len(tuned) == 6
    second = plan.nodes[tuned[0].keys[1]]
    assert flow.inputs("sft")(SimpleNamespace(key=second.key)) == [flow.path(tuned[0].keys[0])]
    command = flow.group_command("python", "sft")(SimpleNamespace(key=tuned[0].keys[0]))
    assert command.endswith(f"--key {' '.join(tuned[0].keys)}")


def test_a_larger_model_and_one_whose_size_nothing_says_have_a_process_each(plan: Plan) -> None:
    assert count_jobs(bundle(plan, 4, parameters=2001)) == dict.fromkeys(SERVING, 6)
    assert count_jobs(bundle(plan, 4, parameters=None)) == dict.fromkeys(SERVING, 6)


def test_what_failed_and_what_comes_of_it_hold_up_nobody_else(plan: Plan) -> None:
    whole = bundle(plan, 8)
    failed = plan.by_stage("sft")[0]
    bundles = Bundles(whole._resources, list_run(plan), [failed.key])
    assert sorted(node.key for job in bundles.jobs for node in job) == sorted(list_run(plan))
    assert bundles.of(failed) == [failed]
    hindered = {failed.key}
    for node in plan.nodes.values():
        if not hindered.isdisjoint(node.inputs()):
            hindered.add(node.key)
    for stage in SERVING:
        jobs = [job for job in bundles.jobs if job[0].stage == stage]
        assert [len(list_models(job)) for job in jobs if hindered.isdisjoint(node.key for node in job)] == [2, 3]
        (alone,) = [job for job in jobs if not hindered.isdisjoint(node.key for node in job)]
        assert {node.key for node in alone} <= hindered
        assert len(list_models(alone)) == 1


def test_a_run_knows_what_failed_in_the_one_before(plan: Plan, tmp_path: Path) -> None:
    machine = MachineSettings.model_validate(
        {"sizes": [{"up_to_parameters": 2000, "stages": {"sft": {"models_per_job": 8}}}]}
    )
    (base,), failed, store = plan.by_stage("pretrain"), plan.by_stage("sft")[1], Store(tmp_path)
    store.folder(*failed.name).parent.mkdir(parents=True)
    with pytest.raises(ValueError, match="loss"), attempting(store, failed.name):
        raise ValueError("the loss is not finite")
    flow = Flow(store, plan, NO_STATES, machine, Path("plan.jsonl"), parameters={base.key: 1000})
    tuned = [card.keys for key, card in flow.list_jobs().items() if plan.nodes[key].stage == "sft"]
    assert sorted(map(len, tuned)) == [1, 1, 2]
    assert [failed.key] in [list(keys) for keys in tuned]


def test_a_model_whose_size_nobody_knows_is_refused_only_where_jobs_ask_for_more_by_it(plan: Plan) -> None:
    ipt, sft = plan.by_stage("ipt")[0], plan.by_stage("sft")[0]
    shipped = [{"up_to_parameters": 2e6, "stages": {"sft": {"models_per_job": 8}}}, {"up_to_parameters": 1e13}]
    resources = ModelResources(MachineSettings.model_validate({"sizes": shipped}), plan, {})
    assert resources.find(sft) == resources.find(ipt) == MachineSettings().resources("sft")
    larger = [{"up_to_parameters": 2e6, "stages": {"sft": {"memory_mib": 100}}}, {"up_to_parameters": 1e13}]
    with pytest.raises(
        ConfigError, match=r"machine\.sizes: what jobs on micro/pretrain/tiny ask for depends on its size"
    ):
        ModelResources(MachineSettings.model_validate({"sizes": larger}), plan, {}).find(sft)


def test_served_models_are_asked_side_by_side(plan: Plan) -> None:
    served = copy.deepcopy(plan)
    for node in served.by_stage("generate"):
        settings = OpenaiEngineSettings(model="large")
        node.spec = node.spec.model_copy(update={"engine": settings})
    assert count_jobs(bundle(served, 4)) == dict.fromkeys(SERVING, 6)


def test_models_whose_jobs_ask_for_other_things_share_none(plan: Plan) -> None:
    """Every second model is of another base model, for which a job of `generate` asks twice the memory."""
    machine = MachineSettings.model_validate(
        {
            "sizes": [
                {"up_to_parameters": 10, "stages": {"generate": {"models_per_job": 4, "memory_mib": 100}}},
                {"up_to_parameters": 1e9, "stages": {"generate": {"models_per_job": 4, "memory_mib": 200}}},
            ]
        }
    )
    resources = ModelResources(machine, plan, {})
    number = {node.group: at % 2 for at, node in enumerate(plan.by_stage("generate")[::2])}
    rows = [machine.resources("generate", 10), machine.resources("generate", 100)]
    found = SimpleNamespace(
        plan=plan,
        find=lambda node: rows[number[node.group]] if node.stage == "generate" else resources.find(node),
        count_bundled=lambda node: rows[number[node.group]].models_per_job,
    )
    bundles = Bundles(found, [node.key for node in plan.by_stage("generate")])  # type: ignore[arg-type]
    assert len(bundles.jobs) == 6
    assert {len(list_models(job)) for job in bundles.jobs} == {1}


def test_what_a_job_waits_for_is_what_any_of_its_models_waits_for(plan: Plan) -> None:
    bundles = bundle(plan, 3)
    jobs = list_jobs(bundles)
    made = {key: number for number, job in enumerate(jobs) for key in job.keys}
    for number, job in enumerate(jobs):
        above = {made[one] for key in job.keys for one in plan.nodes[key].inputs()} - {number}
        assert job.above == above
    (scores, *_) = [job for job in jobs if job.stage == "scores"]
    assert {jobs[one].stage for one in scores.above} == {"score", "judge", "generate"} & {
        plan.nodes[one].stage for key in scores.keys for one in plan.nodes[key].inputs()
    }


def test_snakemake_knows_a_bundle_by_its_first_missing_member(plan: Plan, tmp_path: Path) -> None:
    sizes = [{"up_to_parameters": 2000, "stages": {"generate": {"models_per_job": 3, "runtime_minutes": 7}}}]
    machine = MachineSettings.model_validate({"sizes": sizes})
    (base,) = plan.by_stage("pretrain")
    all_of_them = plan.by_stage("generate")
    # the first model is whole, so a bundle begins with the second
    done = [node for node in all_of_them if node.group == all_of_them[0].group]
    finished = frozenset(node.name for node in done)
    states = States(finished, frozenset(), frozenset())
    flow = Flow(Store(tmp_path), plan, states, machine, Path("plan.jsonl"), parameters={base.key: 1000})
    cards = {key: card for key, card in flow.list_jobs().items() if plan.nodes[key].stage == "generate"}
    left = [node for node in all_of_them if node not in done]
    assert [len(card.keys) for card in cards.values()] == [2 * len(done), 3 * len(done)]
    assert [card.asked["runtime"] for card in cards.values()] == [7, 7]
    leader = next(iter(cards))
    assert leader == left[0].key
    job = SimpleNamespace(key=leader)
    models = {node.parents["model"][0].partition(":")[0] for node in left[: 2 * len(done)]}
    assert models <= {Path(path).parent.name for path in flow.inputs("generate")(job)}
    assert flow.group_command("python", "generate")(job).split("--key ")[1].split() == list(cards[leader].keys)
    member = SimpleNamespace(key=left[2 * len(done) - 1].key)
    assert flow.inputs("generate")(member) == [flow.path(leader)]


@pytest.mark.parametrize("where", ["stages", "sizes"])
def test_models_per_job_is_said_of_sft_and_generate_alone(where: str) -> None:
    stages = {"ipt": {"models_per_job": 2}}
    asked: Any = stages if where == "stages" else [{"up_to_parameters": 1e9, "stages": stages}]
    with pytest.raises(ValueError, match="stage 'ipt': models_per_job is for sft, generate; scores follow generate"):
        MachineSettings.model_validate({where: asked})
