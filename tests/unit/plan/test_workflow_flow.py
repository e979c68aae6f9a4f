"""What the Snakefile looks up: pruned inputs, who leads a group, what is fetched instead of made, whose plan counts."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from golden import REPOSITORY

from mixlab.artifacts.states import Name, States
from mixlab.artifacts.store import Store
from mixlab.config.engines import VllmEngineSettings
from mixlab.config.machine import MachineSettings, StageResources
from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node, Plan
from mixlab.plan.workflow import NOTHING, Flow

PLAN_FILE = Path("work/plans/of a run.jsonl")
BELOW_SFT = ("generate", "score", "judge", "scores", "aggregate", "report")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder whose study has two answers per question: four benchmarks a model."""
    root = tmp_path_factory.mktemp("working folder 作業")
    (root / "studies").mkdir()
    (root / "sources.lock").write_text((REPOSITORY / "sources.lock").read_text())
    text = (REPOSITORY / "studies/micro.yaml").read_text()
    seeds = "  judge_run: [1, 2]\n"
    assert seeds in text, "mend the test"
    (root / "studies/micro.yaml").write_text(text.replace(seeds, f"{seeds}  generation_seed: [1, 2]\n"))
    (root / "config.yaml").write_text("study: micro\nmachine: {data_roots: {micro: absent}}\n")
    return root


@pytest.fixture(scope="session")
def plan(root: Path) -> Plan:
    return build_plan(root, ["micro"]).plan


def names(plan: Plan, *stages: str) -> frozenset[Name]:
    return frozenset(node.name for node in plan.nodes.values() if not stages or node.stage in stages)


def build_flow(
    plan: Plan, complete: Iterable[Name] = (), tracked: Iterable[Name] = (), discarded: Iterable[Name] = ()
) -> Flow:
    states = States(frozenset(complete), frozenset(tracked), frozenset(discarded))
    return Flow(Store(Path("unused")), plan, states, MachineSettings(), PLAN_FILE)


def list_inputs(flow: Flow, node: Node) -> list[str]:
    return flow.inputs(node.stage)(SimpleNamespace(key=node.key))


def list_work(flow: Flow, node: Node) -> list[str]:
    """Read the keys off the command line of a grouped job."""
    command = shlex.split(flow.group_command("python scripts", node.stage)(SimpleNamespace(key=node.key)))
    assert command[:5] == ["python", "scripts/generate.py", "--plan", str(PLAN_FILE), "--key"]
    return command[5:]


def group(plan: Plan) -> list[Node]:
    """The responses of the first model that is evaluated, in order of planning."""
    first = plan.by_stage("generate")[0]
    members = [node for node in plan.by_stage("generate") if node.group == first.group]
    assert len(members) == 4
    return members


def matches(flow: Flow, node: Node) -> bool:
    """Whether the rule of a node's stage may build it, asked as Snakemake does."""
    output = rf"artifacts/{node.stage}/(?P<key>{flow.pattern(node.stage)})/manifest\.json$"
    return re.match(output, flow.path(node.key)) is not None


def test_an_unfinished_artifact_lists_all_its_parents_and_reads_once(plan: Plan) -> None:
    node = plan.by_stage("ipt")[0]
    inputs = list_inputs(build_flow(plan), node)
    assert sorted(inputs) == sorted({f"artifacts/{plan.nodes[key].stage}/{key}/manifest.json" for key in node.inputs()})
    assert {path.split("/")[1] for path in inputs} == {"pretrain", "mixture", "pack", "tokenize"}


@pytest.mark.parametrize("state", ["complete", "tracked", "discarded"])
def test_a_finished_artifact_has_no_inputs_though_nothing_above_it_is_here(plan: Plan, state: str) -> None:
    flow = build_flow(plan, **{state: names(plan, "average", *BELOW_SFT)})
    assert [list_inputs(flow, node) for node in plan.by_stage("average")] == [[], []]
    assert all(list_inputs(flow, node) == [] for node in plan.by_stage("generate"))
    assert all(list_inputs(flow, node) for node in plan.by_stage("ipt"))


def test_a_discarded_artifact_that_has_to_come_back_lists_its_inputs(plan: Plan) -> None:
    node = plan.by_stage("ipt")[0]
    flow = build_flow(plan, names(plan) - names(plan, "ipt", "average", *BELOW_SFT), discarded=names(plan, "ipt"))
    assert flow.path(node.parents["mixture"][0]) in list_inputs(flow, node)


def test_the_first_missing_member_leads_its_group_and_the_others_wait_for_it(plan: Plan) -> None:
    flow = build_flow(plan)
    leader, *others = group(plan)
    assert list_work(flow, leader) == [leader.key, *(node.key for node in others)]
    assert [list_inputs(flow, node) for node in others] == [[flow.path(leader.key)]] * 3
    wanted = {flow.path(key) for node in (leader, *others) for key in node.inputs()}
    assert sorted(list_inputs(flow, leader)) == sorted(wanted)
    assert sum(path.startswith("artifacts/source/") for path in wanted) == 2


def test_after_the_leader_is_complete_the_next_missing_member_leads(plan: Plan) -> None:
    leader, second, third, last = group(plan)
    flow = build_flow(plan, {leader.name, third.name})
    assert [list_inputs(flow, node) for node in (leader, third)] == [[], []]
    assert list_work(flow, second) == [second.key, last.key]
    assert list_inputs(flow, last) == [flow.path(second.key)]
    done = build_flow(plan, {leader.name, second.name, third.name})
    assert list_work(done, last) == [last.key]
    assert flow.path(leader.key) not in list_inputs(done, last)


def test_what_reads_a_group_waits_for_its_leader_alone(plan: Plan) -> None:
    flow = build_flow(plan)
    leader, *_ = group(plan)
    score = next(node for node in plan.by_stage("score") if node.group == leader.group)
    responses = [path for path in list_inputs(flow, score) if path.startswith("artifacts/generate/")]
    assert responses == [flow.path(leader.key)]
    models = {node.group: node.key for node in reversed(plan.by_stage("generate"))}
    assert set(flow.wanted("generate")) == {flow.path(first) for first in models.values()}


def test_a_tracked_member_is_left_to_the_fetch_rule_and_made_by_no_process(plan: Plan) -> None:
    leader, second, *others = group(plan)
    flow = build_flow(plan, tracked={leader.name})
    assert list_work(flow, second) == [node.key for node in (second, *others)]
    assert list_inputs(flow, leader) == []
    assert flow.fetched == [flow.path(leader.key)]
    judge = next(node for node in plan.by_stage("judge") if leader.key in node.inputs())
    assert {flow.path(leader.key), flow.path(second.key)} <= set(list_inputs(flow, judge))


def test_a_member_that_no_study_needs_is_made_alone_when_it_is_asked_for(plan: Plan) -> None:
    # what is judged is needed by the scores as well; the two last answers are scored alone
    needed, other, unneeded, last = group(plan)
    others = (other, last)
    below = {node.name for node in plan.nodes.values() if unneeded.key in node.inputs()}
    flow = build_flow(plan, (names(plan, "sft", "average") | below | {node.name for node in others}))
    assert unneeded.key not in flow.demand.run
    assert needed.key in flow.demand.run
    assert list_work(flow, unneeded) == [unneeded.key]
    assert list_work(flow, needed) == [needed.key]
    assert set(list_inputs(flow, unneeded)) == {flow.path(key) for key in unneeded.inputs()}


def test_a_stage_wants_what_an_unfinished_study_needs_and_else_a_file_that_is_always_there(plan: Plan) -> None:
    assert build_flow(plan, names(plan, "report")).wanted("ipt") == [NOTHING] == ["config.yaml"]
    deleted = names(plan) - names(plan, "ipt", "sft")
    assert build_flow(plan, deleted).wanted("ipt") == [NOTHING]
    unfinished = build_flow(plan, deleted - names(plan, *BELOW_SFT))
    assert unfinished.wanted("ipt") == [NOTHING]
    assert unfinished.wanted("sft") == [unfinished.path(node.key) for node in plan.by_stage("sft")]
    assert build_flow(plan, tracked=names(plan, "sft")).wanted("sft") == unfinished.wanted("sft")


def test_all_names_the_report_though_it_is_finished(plan: Plan) -> None:
    (report,) = plan.by_stage("report")
    assert build_flow(plan, names(plan)).targets == [f"artifacts/report/{report.key}/manifest.json"]


def test_tracked_and_absent_is_fetched_where_it_is_read_and_its_building_rule_refuses_it(plan: Plan) -> None:
    mixture, other = plan.by_stage("mixture")[:2]
    flow = build_flow(plan, tracked={mixture.name})
    assert flow.fetched == [flow.path(mixture.key)]
    assert (matches(flow, mixture), matches(flow, other)) == (False, True)
    assert matches(flow, plan.by_stage("ipt")[0])
    here = build_flow(plan, {mixture.name}, tracked={mixture.name})
    assert here.fetched == []
    assert matches(here, mixture)


def test_tracked_and_absent_that_nobody_reads_is_fetched_only_when_it_is_asked_for(plan: Plan) -> None:
    mixture, read = plan.by_stage("mixture")[:2]
    foreign = ("ipt", "0123456789abcdef")
    finished = names(plan) - {mixture.name}
    flow = build_flow(plan, finished, tracked={mixture.name, foreign})
    assert flow.fetched == []
    assert not matches(flow, mixture)
    for stage, key in (mixture.name, foreign):
        assert re.fullmatch(flow.single_fetch_pattern, f"{stage}/{key}")
    assert not re.fullmatch(flow.single_fetch_pattern, "/".join(read.name))
    wanted = build_flow(plan, tracked={mixture.name, foreign})
    assert wanted.fetched == [wanted.path(mixture.key)]
    assert wanted.single_fetch_pattern == "/".join(foreign)


def test_where_nothing_is_absent_the_fetch_rule_matches_no_artifact(plan: Plan) -> None:
    flow = build_flow(plan, names(plan), tracked=names(plan))
    assert flow.fetched == []
    assert not any(re.fullmatch(flow.single_fetch_pattern, "/".join(name)) for name in names(plan))


def test_a_key_that_no_study_has_is_a_mistake_and_a_key_of_another_stage_as_well(plan: Plan) -> None:
    flow = build_flow(plan)
    for key in ("0123456789abcdef", plan.by_stage("sft")[0].key):
        with pytest.raises(ConfigError, match=f"ipt {key}: no artifact of this plan; `mixlab plan` lists"):
            flow.inputs("ipt")(SimpleNamespace(key=key))


def test_resources_are_those_of_the_machine_by_stage(plan: Plan) -> None:
    asked = StageResources(threads=3, memory_mib=4000, runtime_minutes=50, gpus=6)
    flow = Flow(Store(Path()), plan, build_flow(plan).states, MachineSettings(stages={"ipt": asked}), PLAN_FILE)
    for stage, expected in (("ipt", asked), ("sft", StageResources())):
        asks = {"mem_mb": expected.memory_mib, "runtime": expected.runtime_minutes, "gpu": expected.gpus}
        asks |= {"nodes": 1} if expected.gpus else {}
        assert (flow.threads(stage), flow.asked(stage)) == (expected.threads, asks)
    assert flow.asked("pack") == {"mem_mb": StageResources().memory_mib, "runtime": StageResources().runtime_minutes}
    # what a cluster gets as one job has an hour together, unless config.yaml says it
    assert [flow.asked(stage)["runtime"] for stage in ("score", "judge", "scores", "report")] == [40, 40, 20, 20]
    machine = MachineSettings(stages={"score": StageResources(runtime_minutes=90), "judge": StageResources(threads=2)})
    assert [machine.resources(stage).runtime_minutes for stage in ("score", "judge")] == [90, 40]


def test_a_model_that_is_served_needs_no_gpu_here(root: Path) -> None:
    served = "extends: micro.yaml\nserved_models: {big: {endpoint: local, model: tiny}}\n"
    (root / "studies/served.yaml").write_text(served, encoding="utf-8")
    plan = build_plan(root, ["served"]).plan
    machine = MachineSettings(stages={"generate": StageResources(gpus=2)})
    count = Flow(Store(Path()), plan, build_flow(plan).states, machine, PLAN_FILE).engine_gpus("generate")
    asked = {("/big/" in node.label, count(SimpleNamespace(key=node.key))) for node in plan.by_stage("generate")}
    # engine hf computes on one GPU; a second would stay idle
    assert asked == {(True, 0), (False, 1)}
    engine = VllmEngineSettings()
    nodes = {
        key: replace(node, spec=node.spec.model_copy(update={"engine": engine})) if "/tiny/" not in node.label else node
        for key, node in plan.nodes.items()
        if node.stage == "generate"
    }
    flow = build_flow(replace(plan, nodes={**plan.nodes, **nodes}))
    count = replace(flow, machine=machine).engine_gpus("generate")
    assert {count(SimpleNamespace(key=key)) for key, node in nodes.items() if node.spec.engine == engine} == {2}


def test_the_gpus_of_a_job_on_one_machine_are_those_of_one(root: Path, plan: Plan) -> None:
    """Of --gpus=6 alone Slurm makes a job of two nodes where no node has six free."""
    sizes = [{"up_to_parameters": 1e9, "stages": {"sft": {"gpus": 8}}}]
    machine = MachineSettings.model_validate({"stages": {"ipt": {"gpus": 1}}, "sizes": sizes})
    (base,) = plan.by_stage("pretrain")
    flow = Flow(Store(Path()), plan, build_flow(plan).states, machine, PLAN_FILE, parameters={base.key: 1000})
    asked = {
        stage: {name: value(node) if callable(value) else value for name, value in flow.asked(stage).items()}
        for stage in ("ipt", "sft", "pretrain")
        for node in plan.by_stage(stage)[:1]
    }
    assert {stage: (one["gpu"], one.get("nodes")) for stage, one in asked.items()} == {
        "ipt": (1, None),
        "sft": (8, 1),
        "pretrain": (0, None),
    }


def test_a_training_is_started_again_by_the_process_that_submits_alone(plan: Plan) -> None:
    machine, states = MachineSettings(stages={"ipt": StageResources(retries=5)}), build_flow(plan).states
    flows = [Flow(Store(Path()), plan, states, machine, PLAN_FILE, is_main=is_main) for is_main in (True, False)]
    assert [flow.retries("ipt") for flow in flows] == [5, 0]
