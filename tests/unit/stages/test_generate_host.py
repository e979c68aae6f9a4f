"""Where a model is generated with: GPUs that were asked for are used, or their absence is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from mixlab.config.engines import HfEngineSettings
from mixlab.config.machine import MachineSettings, StageResources
from mixlab.config.problems import ConfigError
from mixlab.stages import generate


def test_gpus_that_are_not_there_are_told_before_a_model_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    machine = MachineSettings(stages={"generate": StageResources(gpus=1)})
    inputs = cast(Any, SimpleNamespace(machine=machine, threads=1))
    with pytest.raises(ConfigError, match=r"machine.stages.generate.gpus: 1, but no GPU can be used here"):
        generate._load_hf(HfEngineSettings(), Path("nowhere"), Path("nowhere"), inputs)
