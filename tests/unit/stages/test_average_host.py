"""The host of averages: which folders it takes, and what it tells of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from labs import TRAINING
from safetensors.numpy import load_file, save_file

from mixlab.config.machine import MachineSettings
from mixlab.plan import specs
from mixlab.plan.graph import Plan
from mixlab.stages import average
from mixlab.stages.job import Inputs, Session


def put_model(folder: Path, value: float) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"a": np.full(3, value, np.float32)}, folder / "model.safetensors")
    return folder


def open_inputs(folder: Path, averaging: dict[str, object], every_steps: int) -> tuple[specs.AverageSpec, Inputs]:
    plan, snapshots = Plan(), {"snapshots": {"every_steps": every_steps, "keep": 2}}
    run = specs.IptSpec.model_validate({"training": TRAINING | snapshots, "ipt_seed": 1})
    spec = specs.AverageSpec.model_validate({"averaging": {"last": 2} | averaging})
    folders = {
        "snapshots": (put_model(folder / "last-00", 4.0), put_model(folder / "last-01", 2.0)),
        "base_model": (put_model(folder / "base", 1.0),),
    }
    given = Inputs(
        plan=plan,
        node=plan.add(spec, {}, "an average"),
        folders=folders,
        specs={"snapshots": (run, run)},
        resume=folder / "resume",
        files={},
        machine=MachineSettings(),
        threads=1,
        session=Session(),
    )
    return spec, given


@pytest.mark.parametrize(
    ("averaging", "every_steps", "told", "value"),
    [
        ({}, 1, "uniform mean of the models after the last 2 optimizer steps", 3.0),
        ({}, 500, "uniform mean of the last 2 snapshots, one every 500 optimizer steps", 3.0),
        (
            {"method": "weighted", "weights": [3, 1], "delta_scale": "1/2"},
            1,
            "weighted mean of the models after the last 2 optimizer steps; "
            "its difference from the base model times 1/2",
            2.25,
        ),
    ],
)
def test_the_provenance_says_which_snapshots_were_averaged_and_how(
    tmp_path: Path, averaging: dict[str, object], every_steps: int, told: str, value: float
) -> None:
    spec, inputs = open_inputs(tmp_path, averaging, every_steps)
    assert average.run(spec, inputs, tmp_path / "out") == {"averaging": told}
    assert load_file(tmp_path / "out/model.safetensors")["a"].tolist() == [value] * 3


def test_the_record_of_another_form_counts_the_steps_before_the_end(tmp_path: Path) -> None:
    spec, inputs = open_inputs(tmp_path, {"method": "ema", "decay": "1/3"}, 500)
    average.run(spec, inputs, tmp_path / "out")
    record = json.loads((tmp_path / "out/averaging.json").read_text())
    assert record["members"] == [
        {"member": "last-00", "weight": 0.75, "steps_before_end": 0},
        {"member": "last-01", "weight": 0.25, "steps_before_end": 500},
    ]
    assert record["decay"] == "1/3"
