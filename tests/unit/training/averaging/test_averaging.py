import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file
from training_fakes import small_model

from mixlab.config.averaging import AveragingSettings
from mixlab.config.problems import DataError
from mixlab.training.averaging.mean import average
from mixlab.training.models.weights import build_model, read_model, write_model


def write_models(folder, count, **changes):
    models = []
    for seed in range(count):
        models.append(folder / f"last-{seed:02d}")
        models[-1].mkdir()
        write_model(build_model(small_model(**changes), seed), models[-1])
    return models


def test_the_mean_of_each_weight_is_exact_to_float32_and_the_result_is_a_model(tmp_path):
    models = write_models(tmp_path, 3)
    average(models, tmp_path / "out", AveragingSettings(last=3))
    parts = [load_file(model / "model.safetensors") for model in models]
    mean = load_file(tmp_path / "out" / "model.safetensors")
    assert mean.keys() == parts[0].keys()
    for name, array in mean.items():
        exact = np.mean([part[name].astype(np.float64) for part in parts], axis=0)
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, exact, rtol=0, atol=1e-7)
    assert (tmp_path / "out" / "config.json").read_bytes() == (models[0] / "config.json").read_bytes()
    read_model(tmp_path / "out")


def test_a_mean_that_float32_can_hold_is_hit_without_rounding_and_empty_and_single_weights_pass(tmp_path):
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        arrays = {"a": np.full((2, 3), number, np.float32), "scalar": np.array(2.0 * number, np.float32)}
        save_file(arrays | {"none": np.zeros((0, 2), np.float32)}, folder / "model.safetensors")
    average([tmp_path / str(number) for number in range(4)], tmp_path / "out", AveragingSettings(last=4))
    mean = load_file(tmp_path / "out" / "model.safetensors")
    assert mean["a"].tolist() == [[1.5] * 3] * 2
    assert mean["scalar"] == 3.0
    assert mean["none"].shape == (0, 2)


def test_the_same_models_give_the_same_bytes(tmp_path):
    models = write_models(tmp_path, 2)
    for name in ("a", "b"):
        average(models, tmp_path / name, AveragingSettings(last=2))
    first, second = (tmp_path / name / "model.safetensors" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_are_summed_in_float32(tmp_path, dtype):
    values = (1.0, 1.0078125, 1.0)
    for number, value in enumerate(values):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"dtype": "bfloat16"}))
        save_torch_file({"a": torch.full((2,), value, dtype=dtype)}, folder / "model.safetensors")
    average([tmp_path / str(number) for number in range(3)], tmp_path / "out", AveragingSettings(last=3))
    mean = load_file(tmp_path / "out" / "model.safetensors")["a"]
    assert mean.tolist() == [float(np.float32(sum(values)) / np.float32(3))] * 2
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "float32"


def test_every_difference_between_the_models_is_named(tmp_path):
    models = write_models(tmp_path, 2)
    arrays = load_file(models[1] / "model.safetensors")
    arrays["model.norm.weight"] = arrays["model.norm.weight"].astype(np.float16)
    del arrays["model.embed_tokens.weight"]
    save_file(arrays, models[1] / "model.safetensors")
    with pytest.raises(DataError) as caught:
        average(models, tmp_path / "out", AveragingSettings(last=2))
    problems = {problem.key: str(problem) for problem in caught.value.problems}
    assert problems.keys() == {"model.norm.weight", "model.embed_tokens.weight"}
    assert "is F16 (16,), but F32 (16,)" in problems["model.norm.weight"]
    assert "is missing, but F32" in problems["model.embed_tokens.weight"]


def test_models_of_different_configuration_are_refused_by_the_entry_that_differs(tmp_path):
    models = write_models(tmp_path, 2)
    config = json.loads((models[1] / "config.json").read_text()) | {"rms_norm_eps": 0.5}
    (models[1] / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"last-01/config\.json: rms_norm_eps: is 0\.5, but 1e-06"):
        average(models, tmp_path / "out", AveragingSettings(last=2))


def test_a_number_of_models_other_than_asked_for_is_refused(tmp_path):
    with pytest.raises(DataError, match="last is 10, but 2 models"):
        average(write_models(tmp_path, 2), tmp_path / "out", AveragingSettings(last=10))


def test_averaging_does_not_import_torch():
    code = "import sys, mixlab.training.averaging.mean; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
