"""Where a model is generated with: GPUs that were asked for are used, or their absence is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from mixlab.config.engines import HfEngineSettings, OpenaiEngineSettings
from mixlab.config.machine import MachineSettings, StageResources
from mixlab.config.problems import ConfigError
from mixlab.stages import engines, generate


def test_gpus_that_are_not_there_are_told_before_a_model_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    machine = MachineSettings(stages={"generate": StageResources(gpus=1)})
    inputs = cast(Any, SimpleNamespace(machine=machine, threads=1))
    with pytest.raises(ConfigError, match=r"machine.stages.generate.gpus: 1, but no GPU can be used here"):
        engines._load_hf(HfEngineSettings(), Path("nowhere"), Path("nowhere"), inputs)


@pytest.mark.parametrize(
    ("gpus", "engine", "told"),
    [
        (0, HfEngineSettings(), {"device": "cpu", "gpus": "0"}),
        (2, HfEngineSettings(), {"device": "NVIDIA H100 80GB HBM3", "gpus": "1"}),
        (2, OpenaiEngineSettings(model="large"), {"served_model": "large", "gpus": "0"}),
    ],
    ids=["cpu", "gpu", "served"],
)
def test_what_computed_is_a_fact_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, engine: Any, told: dict[str, str]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    for name in ("open_hf", "open_served", "_share"):
        monkeypatch.setattr(generate, name, lambda *_: None)
    monkeypatch.setattr(generate, "read_asked", lambda *_: ((), ()))
    monkeypatch.setattr(generate, "write_responses", lambda *_, **__: {"shared": "3 responses"})
    machine = MachineSettings(stages={"generate": StageResources(gpus=gpus)})
    inputs = cast(Any, SimpleNamespace(machine=machine, resume=tmp_path))
    spec = cast(Any, SimpleNamespace(engine=engine, prompt=None, generation_seed=1, lm_eval=None))
    assert generate.run(spec, inputs, tmp_path) == {**told, "shared": "3 responses"}
