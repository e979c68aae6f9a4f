"""What a job asks for grows with the model it works on: one table, and machine.stages wins key by key."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from golden import REPOSITORY, plan_every_stage, plan_micro

from mixlab.artifacts.states import NO_STATES
from mixlab.artifacts.store import Store, write_json
from mixlab.config.engines import OpenaiEngineSettings, VllmEngineSettings
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError
from mixlab.config.trainers import ExternalTrainer
from mixlab.config.training import MuonSettings
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.model_resources import ModelResources, find_model, measure_models, require_launches
from mixlab.plan.planfile import read_plan, render_plan, write_plan
from mixlab.plan.workflow import Flow, open_workflow
from mixlab.plan.workload import Workloads

SIZES: list[dict[str, Any]] = [
    {
        "up_to_parameters": 1e5,
        "stages": {"ipt": {"memory_mib": 111, "threads": 2}, "generate": {"gpus": 1}},
    },
    {
        "up_to_parameters": 1e9,
        "stages": {
            "ipt": {"memory_mib": 222, "gpus": 8, "launch": {"nodes": 4, "processes_per_node": 8}},
            "generate": {"gpus": 4},
            "average": {"memory_mib": 9_000},
        },
    },
]


def read_machine(**more: Any) -> MachineSettings:
    return MachineSettings.model_validate({"sizes": SIZES, **more})


def build_flow(machine: MachineSettings, plan: Plan, count: int) -> Flow:
    """A flow in which every base model has `count` parameters."""
    bases = [node.key for stage in ("pretrain", "base_model") for node in plan.by_stage(stage)]
    return Flow(Store(Path()), plan, NO_STATES, machine, Path("plan"), parameters=dict.fromkeys(bases, count))


def set_engine(plan: Plan, engine: OpenaiEngineSettings | VllmEngineSettings) -> Plan:
    """The plan with all responses by another engine, under the same keys."""
    nodes = {
        key: replace(node, spec=node.spec.model_copy(update={"engine": engine})) if node.stage == "generate" else node
        for key, node in plan.nodes.items()
    }
    return replace(plan, nodes=nodes)


def change_training(plan: Plan, keys: list[str], **changes: Any) -> Plan:
    """The plan with other settings of some trainings, under the same keys."""
    nodes = {}
    for key in keys:
        spec: Any = plan.nodes[key].spec
        training = spec.training.model_copy(update=changes)
        nodes[key] = replace(plan.nodes[key], spec=spec.model_copy(update={"training": training}))
    return replace(plan, nodes={**plan.nodes, **nodes})


def ask(flow: Flow, stage: str) -> dict[str, Any]:
    """What Snakemake would make of a stage's resources for its first job."""
    job = SimpleNamespace(key=flow.plan.by_stage(stage)[0].key)
    values = {**flow.asked(stage), "threads": flow.threads(stage)}
    told = {name: value(job) if callable(value) else value for name, value in values.items()}
    return {name: value for name, value in told.items() if value is not None}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_micro()


def test_every_job_that_holds_a_model_goes_back_to_its_base_model(plan: Plan) -> None:
    (base,) = plan.by_stage("pretrain")
    found = {(node.stage, getattr(find_model(plan, node), "key", None)) for node in plan.nodes.values()}
    held = {stage for stage, key in found if key == base.key}
    assert held == {"pretrain", "ipt", "average", "sft", "generate"}
    assert {key for stage, key in found if stage not in held} == {None}
    whole = plan_every_stage()
    (read,) = whole.by_stage("base_model")
    assert find_model(whole, read) is read


def test_the_first_row_a_model_fits_in_holds_for_its_jobs(plan: Plan) -> None:
    small, big = (build_flow(read_machine(), plan, count) for count in (100_000, 100_001))
    assert ask(small, "ipt") == {"mem_mb": 111, "runtime": 60, "gpu": 0, "threads": 2}
    spread = {"mpi": "srun", "nodes": 4, "tasks": 4, "gres": "gpu:8", "tasks_per_gpu": 0}
    assert ask(big, "ipt") == {"mem_mb": 222, "runtime": 60, "threads": 1, **spread}
    assert [ask(flow, "generate")["gpu"] for flow in (small, big)] == [1, 1]  # engine hf computes on one
    plan = set_engine(plan, VllmEngineSettings())
    small, big = (build_flow(read_machine(), plan, count) for count in (100_000, 100_001))
    asked = [ask(flow, "generate") for flow in (small, big)]
    assert [(one["gpu"], one.get("nodes")) for one in asked] == [(1, None), (4, 1)]
    assert [ask(flow, "average")["mem_mb"] for flow in (small, big)] == [2000, 9000]
    assert ask(small, "score") == ask(big, "score") == {"mem_mb": 2000, "runtime": 40, "threads": 1}


def test_what_config_says_of_a_stage_wins_key_by_key(plan: Plan) -> None:
    own = {"ipt": {"memory_mib": 333, "retries": 5, "launch": {"parallelism": "zero3"}}}
    flow = build_flow(read_machine(stages=own), plan, 200_000)
    assert ask(flow, "ipt")["mem_mb"] == 333
    assert ask(flow, "ipt")["gres"] == "gpu:8"
    asked = flow.machine.resources("ipt", 200_000)
    assert (asked.launch.nodes, asked.launch.parallelism, asked.retries) == (4, "zero3", 5)
    assert flow.retries("ipt") == 5


def test_a_job_computes_as_the_row_of_its_model_says(plan: Plan, tmp_path: Path) -> None:
    flow = build_flow(read_machine(), plan, 200_000)
    path = write_plan(Store(tmp_path), render_plan(plan, flow.machine, {}, flow.parameters))
    planned = read_plan(path)
    node = planned.plan.by_stage("ipt")[0]
    assert planned.machine_for(node).resources("ipt").launch.ranks == 32
    assert planned.machine_for(planned.plan.by_stage("sft")[0]).resources("sft").launch.ranks == 1


def test_stages_without_gpus_go_to_the_partition_of_cpus(plan: Plan) -> None:
    machine = read_machine(cluster={"cpu_partition": "cpu"}, stages={"sft": {"gpus": 1}})
    flow = build_flow(machine, plan, 1)
    partitions = {
        stage: flow.asked(stage).get("slurm_partition") for stage in ("score", "average", "pretrain", "label")
    }
    assert set(partitions.values()) == {"cpu"}
    # the jobs of a small model need no GPU for ipt, those of a big one do: one partition for all of a rule
    assert all("slurm_partition" not in flow.asked(stage) for stage in ("ipt", "sft", "generate"))


def test_answers_of_served_models_alone_go_to_the_partition_of_cpus(plan: Plan) -> None:
    machine = read_machine(cluster={"cpu_partition": "cpu"}, stages={"generate": {"gpus": 1}})
    for one in (set_engine(plan, OpenaiEngineSettings(model="m")), plan):
        asked = build_flow(machine, one, 1).asked("generate")
        assert asked.get("slurm_partition") == ("cpu" if one is not plan else None)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "study"
    (root / "studies").mkdir(parents=True)
    for name in ("sources.lock", "studies/micro.yaml"):
        (root / name).write_text((REPOSITORY / name).read_text())
    monkeypatch.chdir(root)
    return root


def write_config(root: Path, limits: str) -> None:
    text = f"study: micro\nmachine:\n  data_roots: {{micro: absent}}\n  sizes:\n{limits}"
    (root / "config.yaml").write_text(text)


def test_sizes_are_counted_from_the_study_before_a_model_is_made(root: Path) -> None:
    write_config(root, "  - {up_to_parameters: 1e9, stages: {ipt: {memory_mib: 3000}}}\n")
    flow = open_workflow(root, {}, True, {})
    (base,) = flow.plan.by_stage("pretrain")
    planned = build_plan(root, check_files=False)
    shape = Workloads(planned.plan, Store(root)).shape(base)
    embedding = shape.vocab_size * shape.hidden_size
    assert flow.parameters.keys() == {base.key}
    assert flow.parameters[base.key] > embedding
    assert ask(flow, "ipt")["mem_mb"] == 3000


def test_a_model_larger_than_every_row_is_a_mistake_told_before_any_job(root: Path) -> None:
    write_config(root, "  - {up_to_parameters: 1000, stages: {ipt: {memory_mib: 3000}}}\n")
    with pytest.raises(
        ConfigError, match=r"config\.yaml: machine\.sizes: micro/pretrain/tiny: .* the last row is up to 1000"
    ):
        open_workflow(root, {}, True, {})
    assert not (root / "work").exists()


def test_a_model_whose_size_nobody_knows_yet_is_named_with_the_cure() -> None:
    plan = plan_every_stage()
    (read,) = plan.by_stage("base_model")
    machine = read_machine(sizes=[{"up_to_parameters": 1e9, "stages": {"base_model": {"memory_mib": 3000}}}])
    with pytest.raises(
        ConfigError, match=r"micro/base_model/read ask for depends on its size, and .*`mixlab lock base"
    ):
        measure_models(machine, Workloads(plan, Store(Path("unused"))), [read.key])
    # where no study waits for it, nothing is refused until its job is asked for
    assert read.key not in measure_models(machine, Workloads(plan, Store(Path("unused"))), [])
    with pytest.raises(ConfigError, match=r"micro/base_model/read ask for depends on its size, which is not known"):
        ask(Flow(Store(Path()), plan, NO_STATES, machine, Path("plan")), "base_model")


def test_a_training_that_no_study_waits_for_is_as_large_as_its_model(root: Path) -> None:
    write_config(root, "  - {up_to_parameters: 1e9, stages: {ipt: {memory_mib: 3000, threads: 3}}}\n")
    plan = build_plan(root, check_files=False).plan
    (lost, *_), store = plan.by_stage("ipt"), Store(root)
    for node in plan.nodes.values():
        if node.stage not in ("tokenizer", "pretrain") and node.key != lost.key:
            write_json(store.manifest_path(*node.name), {})
    flow = open_workflow(root, {}, True, {})
    assert flow.demand.is_empty
    assert ask(flow, "ipt")["mem_mb"] == 3000
    planned = read_plan(root / flow.plan_file)
    assert planned.machine_for(planned.plan.nodes[lost.key]).resources("ipt").threads == 3


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([{"up_to_parameters": 2}, {"up_to_parameters": 1}], "rows go from the smallest models up, got 2, 1"),
        ([{"up_to_parameters": 2, "stages": {"itp": {}}}], "stage 'itp' works on no model; did you mean 'ipt'?"),
        ([{"up_to_parameters": 2, "stages": {"average": {"retries": 2}}}], "launch and retries are for pretrain"),
        ([{"up_to_parameters": 2, "stages": {"average": {"gpus": 1}}}], "'average': gpus are for base_model, pretrain"),
        (
            [{"up_to_parameters": 2, "stages": {"ipt": {"launch": {"parallelism": "zero1", "offload": "optimizer"}}}}],
            "stages.ipt does not fit the row up to 2 parameters: .* needs parallelism zero1, zero2 or zero3, got ddp",
        ),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(sizes: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MachineSettings.model_validate({"sizes": sizes, "stages": {"ipt": {"launch": {"parallelism": "ddp"}}}})


def test_gpus_are_refused_where_they_would_stay_idle() -> None:
    with pytest.raises(ValueError, match="stage 'score': gpus are for base_model, pretrain, ipt, sft, generate"):
        MachineSettings.model_validate({"stages": {"score": {"gpus": 1}}})


def test_what_keeps_a_training_from_beginning_is_told_before_any_job(root: Path, plan: Plan) -> None:
    write_config(root, "  - {up_to_parameters: 1e9, stages: {ipt: {gpus: 8}, sft: {gpus: 1, launch: {nodes: 2}}}}\n")
    with pytest.raises(ConfigError) as caught:
        open_workflow(root, {}, True, {})
    (told,) = caught.value.problems
    assert str(told).startswith("config.yaml: machine: ipt: gpus: 8, and launch.processes_per_node: 1; each process")
    (base,) = plan.by_stage("pretrain")
    keys = [node.key for stage in ("ipt", "sft") for node in plan.by_stage(stage)]

    def check(**ipt: Any) -> None:
        machine = MachineSettings.model_validate({"stages": {"ipt": ipt}})
        require_launches(ModelResources(machine, plan, {base.key: 1000}), keys, root)

    for device in ("auto", "cuda"):
        with pytest.raises(ConfigError, match=r"gpus: 2, and launch\.processes_per_node: 4"):
            check(gpus=2, launch={"processes_per_node": 4, "device": device})
    check(gpus=4, launch={"processes_per_node": 4, "nodes": 2})
    check(gpus=2, launch={"device": "cpu"})
    check(launch={"processes_per_node": 4})
    shared = {"parallelism": "zero2", "deepspeed_config": "zero2.json"}
    with pytest.raises(ConfigError, match=r"zero2\.json: no readable JSON"):
        check(launch=shared)
    (root / "zero2.json").write_text('{"optimizer": {}}')
    with pytest.raises(ConfigError, match=r"zero2\.json: optimizer: is not to be set here"):
        check(launch=shared)
    (root / "zero2.json").write_text("{}")
    check(launch=shared)
    muon = change_training(
        plan, keys, optimizer=MuonSettings(name="muon", learning_rate=0.02, other_learning_rate=1e-3)
    )
    machine = MachineSettings.model_validate({"stages": {"ipt": {"launch": shared}}})
    with pytest.raises(ConfigError, match="machine: ipt: optimizer: muon needs whole matrices, which zero2 spreads"):
        require_launches(ModelResources(machine, muon, {base.key: 1000}), keys, root)
    outside = ExternalTrainer(type="external", name="second", version="1", export="windows")
    plan = change_training(plan, keys, trainer=outside)
    check(gpus=8)  # its own commands say how many it starts
