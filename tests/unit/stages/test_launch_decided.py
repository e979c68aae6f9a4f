"""What a training host decides before it starts a process, and what the rules ask Slurm for."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mixlab.config.machine import MachineSettings
from mixlab.config.problems import DataError
from mixlab.plan.graph import Plan
from mixlab.plan.workflow import Flow
from mixlab.stages.training import decide_launch


def machine(**ipt: object) -> MachineSettings:
    return MachineSettings.model_validate({"stages": {"ipt": ipt}})


def inputs(**ipt: object) -> SimpleNamespace:
    return SimpleNamespace(machine=machine(**ipt), node=SimpleNamespace(stage="ipt"))


def test_who_asks_for_gpus_wants_them_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert decide_launch(inputs()).device == "auto"
    assert decide_launch(inputs(gpus=2)).device == "cuda"
    assert decide_launch(inputs(gpus=2, launch={"device": "cpu"})).device == "cpu"
    with pytest.raises(DataError, match=r"stages\.ipt\.launch\.processes_per_node: 4 processes on 2 GPUs"):
        decide_launch(inputs(gpus=2, launch={"processes_per_node": 4}))


def test_a_job_that_was_itself_started_many_times_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DataError, match=r"ipt: was itself started 2 times, .* set machine\.stages\.ipt\.launch"):
        decide_launch(inputs())


def test_only_training_stages_are_launched_and_retried() -> None:
    for changes in ({"launch": {"nodes": 2}}, {"retries": 1}):
        with pytest.raises(ValueError, match="stage 'score': launch and retries are for pretrain, ipt, sft"):
            MachineSettings.model_validate({"stages": {"score": changes}})


def test_several_machines_get_one_task_each_and_their_own_gpus(tmp_path: Path) -> None:
    def ask(**ipt: object) -> dict[str, int | str]:
        settings = machine(memory_mib=900, runtime_minutes=30, **ipt)
        return Flow(None, Plan(), None, settings, tmp_path).training_resources("ipt")  # type: ignore[arg-type]

    one = {"mem_mb": 900, "runtime": 30}
    assert ask() == {**one, "gpu": 0}
    assert ask(gpus=1) == {**one, "gpu": 1}
    assert ask(gpus=8) == {**one, "gpu": 8, "nodes": 1}
    many = {**one, "mpi": "srun", "nodes": 4, "tasks": 4}
    assert ask(launch={"nodes": 4}) == many
    assert ask(launch={"nodes": 4}, gpus=8) == {**many, "gres": "gpu:8", "tasks_per_gpu": 0}
