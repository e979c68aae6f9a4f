"""What a job's own process looks up is what the run that submitted it says, and costs no import of the plan."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from golden import plan_micro

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.runs import RUN_VARIABLE, begin_run
from mixlab.artifacts.states import NO_STATES, States
from mixlab.artifacts.store import Store
from mixlab.config.machine import MachineSettings
from mixlab.plan import starting
from mixlab.plan.graph import Plan
from mixlab.plan.job_flow import NOTHING, JobFlow, open_flow
from mixlab.plan.workflow import Flow

MACHINE = {
    "stages": {"score": {"threads": 3}},
    "sizes": [{"up_to_parameters": 1e9, "stages": {"ipt": {"gpus": 8, "launch": {"nodes": 2}}}}],
}


def evaluate(value: Any, key: str) -> Any:
    return value(SimpleNamespace(key=key)) if callable(value) else value


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_micro()


@pytest.fixture
def flows(plan: Plan, tmp_path: Path) -> tuple[Flow, JobFlow]:
    """The flow of a run, and that of its jobs."""
    (base,) = plan.by_stage("pretrain")
    machine = MachineSettings.model_validate(MACHINE)
    flow = Flow(Store(tmp_path), plan, NO_STATES, machine, Path("work/plans/a b.jsonl"), parameters={base.key: 1000})
    run, file = begin_run(tmp_path / "work", str(flow.plan_file), flow.list_jobs())
    file.close()
    told = open_flow(tmp_path, {}, False, {RUN_VARIABLE: run})
    assert isinstance(told, JobFlow)
    return flow, told


def test_every_job_is_told_what_its_run_knows(flows: tuple[Flow, JobFlow], plan: Plan) -> None:
    flow, told = flows
    leaders = set(flow.list_jobs())
    assert len(leaders) > 60
    for node in plan.nodes.values():
        job = SimpleNamespace(key=node.key)
        assert told.inputs(node.stage)(job) == flow.inputs(node.stage)(job), node.label
        if node.key not in leaders:
            continue
        assert evaluate(told.threads(node.stage), node.key) == evaluate(flow.threads(node.stage), node.key)
        ours, theirs = flow.asked(node.stage), told.asked(node.stage)
        asked = {name: evaluate(value, node.key) for name, value in ours.items()}
        assert {
            name: evaluate(theirs[name], node.key) for name in theirs if evaluate(theirs[name], node.key) is not None
        } == {name: value for name, value in asked.items() if value is not None}
        assert told.command("python", node.stage) == flow.command("python", node.stage)
        assert told.group_command("python", node.stage)(job) == flow.group_command("python", node.stage)(job)


def test_what_is_made_by_now_needs_nothing_and_nothing_is_wanted_or_fetched(
    flows: tuple[Flow, JobFlow], plan: Plan
) -> None:
    flow, told = flows
    node = plan.by_stage("ipt")[0]
    assert told.inputs("ipt")(SimpleNamespace(key=node.key))
    manifest = flow.store.manifest_path(*node.name)
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    assert told.inputs("ipt")(SimpleNamespace(key=node.key)) == []
    assert (told.targets, told.fetched, list(told.stages)) == ((NOTHING,), (), [])
    assert told.retries("ipt") == 0


def test_what_is_asked_for_by_name_is_told_though_no_study_needs_it(plan: Plan) -> None:
    finished = frozenset(node.name for node in plan.nodes.values())
    machine = MachineSettings.model_validate(MACHINE)
    (base,) = plan.by_stage("pretrain")
    ipt, score = plan.by_stage("ipt")[0], plan.by_stage("score")[0]
    states = States(finished - {ipt.name, score.name}, frozenset(), frozenset())
    flow = Flow(Store(Path("unused")), plan, states, machine, Path("plan"), parameters={base.key: 1000})
    assert flow.list_jobs() == {}
    told = flow.list_jobs([ipt.key, score.key])
    assert {key: card.keys for key, card in told.items()} == {ipt.key: [ipt.key], score.key: [score.key]}
    assert len(told[ipt.key].inputs) > 3
    assert told[ipt.key].asked["mem_mb"] == 2000


def test_a_job_starts_without_the_plan_and_its_libraries(flows: tuple[Flow, JobFlow], tmp_path: Path) -> None:
    (run,) = [path.stem for path in (tmp_path / "work/runs").iterdir()]
    code = (
        "import sys; from pathlib import Path\nfrom mixlab.plan.job_flow import open_flow\n"
        f"flow = open_flow(Path({str(tmp_path)!r}), {{}}, False, {{{RUN_VARIABLE!r}: {run!r}}})\n"
        "assert len(flow.jobs) > 60\n"
        "print([name for name in ('pydantic', 'yaml', 'numpy', 'mixlab.plan.workflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_job_that_is_asked_for_by_name_is_told_all_though_no_study_waits_for_it(plan: Plan, tmp_path: Path) -> None:
    (base,), ipt, (first, second, *_) = plan.by_stage("pretrain"), plan.by_stage("ipt")[0], plan.by_stage("generate")
    missing = {ipt.name, first.name, second.name}
    states = States(frozenset(node.name for node in plan.nodes.values()) - missing, frozenset(), frozenset())
    machine = MachineSettings.model_validate(MACHINE)
    flow = Flow(Store(tmp_path), plan, states, machine, Path("plan.jsonl"), parameters={base.key: 1000})
    assert flow.list_jobs() == {}
    jobs = [
        SimpleNamespace(rule=SimpleNamespace(name=name), wildcards_dict=known, is_local=False)
        for name, known in (("ipt", {"key": ipt.key}), ("generate", {"key": first.key}), ("all", {}))
    ]
    workflow = SimpleNamespace(
        executor_plugin=SimpleNamespace(name="local"), dag=SimpleNamespace(needrun_jobs=lambda: iter(jobs))
    )
    environment: dict[str, str] = {}
    flow.start(workflow, environment)
    starting._held.pop().close()
    told = open_flow(tmp_path, {}, False, environment)
    assert isinstance(told, JobFlow)
    asked = [{name: evaluate(value, ipt.key) for name, value in one.asked("ipt").items()} for one in (told, flow)]
    assert {**asked[0], "gpu": None} == {**asked[1], "gpu": None}
    assert evaluate(told.asked("ipt")["nodes"], ipt.key) == 2
    for node in (ipt, first):
        job = SimpleNamespace(key=node.key)
        assert told.inputs(node.stage)(job) == flow.inputs(node.stage)(job) != []
        assert told.group_command("python", node.stage)(job).endswith(f" --key {node.key}")
    # what was not submitted and is not there would be started with nothing to make
    with pytest.raises(ArtifactError, match=f"generate {second.key}: the run that submitted this job told nothing"):
        told.group_command("python", "generate")(SimpleNamespace(key=second.key))


def test_one_of_a_group_that_is_asked_for_by_name_waits_for_its_leader(flows: tuple[Flow, JobFlow]) -> None:
    flow, _ = flows
    leader, member = next(job.keys[:2] for job in flow.list_jobs().values() if len(job.keys) > 1)
    stage = flow.plan.nodes[member].stage
    told = JobFlow(flow.store.root, flow.plan_file, flow.list_jobs([member]))
    assert told.inputs(stage)(SimpleNamespace(key=member)) == [flow.path(leader)]
    assert told.inputs(stage)(SimpleNamespace(key=leader)) == flow.inputs(stage)(SimpleNamespace(key=leader))
    assert member in told.group_command("python", stage)(SimpleNamespace(key=member))
