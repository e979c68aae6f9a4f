import json

import pytest
import torch
from averaging_models import put_constants, put_model, run

from mixlab.config.averaging import AveragingSettings
from mixlab.config.problems import DataError
from mixlab.training.averaging import mean
from mixlab.training.averaging.mean import average


def refuse(*arguments, **settings):
    with pytest.raises(DataError) as caught:
        run(*arguments, **settings)
    return [str(problem) for problem in caught.value.problems]


def test_whole_numbers_are_refused_by_name_even_where_all_models_agree(tmp_path):
    buffers = {"position_ids": torch.arange(3), "mask": torch.ones(2, dtype=torch.bool), "a": torch.ones(1)}
    models = [put_model(tmp_path / str(at), buffers) for at in range(2)]
    assert refuse(models, tmp_path / "out") == [
        f"{models[0]}/model.safetensors: mask: is BOOL; only floating point can be averaged",
        f"{models[0]}/model.safetensors: position_ids: is I64; only floating point can be averaged",
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stretch", [4, 1 << 20])
@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "infinity")])
def test_what_is_not_finite_is_refused_by_model_weight_and_place_and_no_mean_is_left(
    tmp_path, monkeypatch, value, word, stretch
):
    monkeypatch.setattr(mean, "STRETCH", stretch)
    models = put_constants(tmp_path, 1.0, 2.0, 3.0)
    for at in (1, 2):
        spoilt = torch.ones(3, 3)
        spoilt[1, at] = value if at == 1 else -value
        models[at] = put_model(tmp_path / f"spoilt-{at}", {"a": spoilt})
    models[0] = put_model(tmp_path / "whole", {"a": torch.ones(3, 3)})
    said = [f"holds {word} at element {3 + at}, so the mean would too; no mean is written" for at in (1, 2)]
    assert refuse(models, tmp_path / "out", method="ema", decay="1/1000000") == [
        f"{model}/model.safetensors: a: {one}" for model, one in zip(models[1:], said, strict=True)
    ]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_base_model_that_is_not_finite_is_refused(tmp_path):
    base = put_model(tmp_path / "base", {"a": torch.tensor([[1.0, 2.0], [float("nan"), 1.0]])})
    (said,) = refuse(put_constants(tmp_path, 1.0, 2.0), tmp_path / "out", base=base, delta_scale=1)
    assert said.startswith(f"{base}/model.safetensors: a: holds NaN at element 2")


def test_a_result_beyond_the_dtype_is_refused_with_the_cure_and_one_that_fits_is_not(tmp_path):
    models = put_constants(tmp_path, 1e5, 2e5)
    (said,) = refuse(models, tmp_path / "out", dtype="float16")
    assert said == "average: a: the result is beyond F16; ask for another dtype, bfloat16 or float32"
    found, _ = run(models, tmp_path / "out", dtype="bfloat16")
    assert found["a"].float().tolist() == [[149504.0] * 2] * 2


def test_a_sum_beyond_float32_is_refused(tmp_path):
    (said,) = refuse(put_constants(tmp_path, 3e38, 3e38), tmp_path / "out")
    assert said == "average: a: the sum of the models is beyond float32"


def test_a_base_model_of_other_weights_is_refused_weight_by_weight(tmp_path):
    tensors = {"a": torch.ones(2, 2), "b": torch.ones(3), "c": torch.ones(1)}
    models = [put_model(tmp_path / str(at), tensors) for at in range(2)]
    other = {"a": torch.ones(3, 2), "c": torch.ones(1, dtype=torch.int64), "lm_head.weight": torch.ones(1)}
    base = put_model(tmp_path / "base", other)
    assert refuse(models, tmp_path / "out", base=base, delta_scale=1) == [
        f"{base}/model.safetensors: a: is F32 (3, 2), but F32 (2, 2) in the snapshots, so no difference can be taken",
        f"{base}: b: is missing, so the snapshots have no difference from it",
        f"{base}/model.safetensors: c: is I64; a difference can be taken from floating point alone",
        f"{base}/model.safetensors: lm_head.weight: is not in the snapshots",
    ]


def test_a_delta_without_its_base_model_and_a_base_model_without_a_delta_are_refused(tmp_path):
    models = put_constants(tmp_path, 1.0, 2.0)
    with pytest.raises(DataError, match="asks for a base model, but none was given"):
        average(models, tmp_path / "out", AveragingSettings(last=2, delta_scale=1))
    with pytest.raises(DataError, match="is null, but a base model was given"):
        average(models, tmp_path / "out", AveragingSettings(last=2), base=models[0])


def test_a_result_is_never_written_over_a_model_that_is_read(tmp_path):
    models = put_constants(tmp_path, 1.0, 2.0)
    before = (models[1] / "model.safetensors").read_bytes()
    (tmp_path / "link").symlink_to(models[1])
    with pytest.raises(DataError, match="one of the models that are read"):
        average(models, tmp_path / "link", AveragingSettings(last=2))
    assert (models[1] / "model.safetensors").read_bytes() == before


def test_an_index_that_misses_a_shard_is_refused(tmp_path):
    models = put_constants(tmp_path, 1.0, 2.0)
    (models[1] / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (models[1] / "model.safetensors.index.json").write_text(json.dumps(index))
    (said,) = refuse(models, tmp_path / "out")
    assert said.startswith(f"{models[1]}/model-00001-of-00002.safetensors: no readable weights")
