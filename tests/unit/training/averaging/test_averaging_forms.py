import json
import os
import tempfile
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from averaging_models import put_constants, put_model, refer, run
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mixlab.config.averaging import AveragingSettings
from mixlab.training.averaging import mean
from mixlab.training.averaging.mean import average, scale_coefficients

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
METHODS = {
    "uniform": ({}, lambda count: [1.0] * count),
    "weighted": ({"weights": [5, 3, 1, 7]}, lambda count: [1.25, 0.75, 0.25, 1.75][:count]),
    "ema": ({"decay": "3/10"}, lambda count: [0.3**age for age in range(count)]),
}


@given(
    shapes=st.lists(st.lists(st.integers(0, 6), max_size=3), min_size=1, max_size=3),
    stored=st.sampled_from(list(DTYPES)),
    asked=st.sampled_from(list(DTYPES)),
    method=st.sampled_from(list(METHODS)),
    scale=st.none() | st.sampled_from(["1/2", "-3", "0.3"]),
    stretch=st.integers(1, 40),
)
@settings(max_examples=40, deadline=None)
def test_every_form_is_the_float32_reference_to_the_bit_wherever_the_stretches_end(
    shapes, stored, asked, method, scale, stretch
):
    generator = torch.Generator().manual_seed(0)
    options, coefficients = METHODS[method]

    def draw():
        return {str(at): torch.randn(shape, generator=generator).to(DTYPES[stored]) for at, shape in enumerate(shapes)}

    members, base = [draw() for _ in range(4)], draw()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(mean, "STRETCH", stretch)
        folders = [put_model(Path(folder, f"last-{age:02d}"), one) for age, one in enumerate(members)]
        origin = put_model(Path(folder, "base"), base) if scale else None
        chosen = {"method": method, "dtype": asked, **options} | ({"delta_scale": scale} if scale else {})
        found, config = run(folders, Path(folder, "out"), base=origin, **chosen)
    assert config["dtype"] == config["torch_dtype"] == asked
    assert found.keys() == base.keys()
    for name in found:
        delta = (base[name], float(Fraction(scale))) if scale else ()
        expected = refer([member[name] for member in members], coefficients(4), *delta).to(DTYPES[asked])
        assert found[name].dtype == DTYPES[asked]
        assert torch.equal(found[name], expected.reshape(found[name].shape))


def test_weights_count_as_they_are_given_newest_first(tmp_path):
    models = put_constants(tmp_path, 1.0, 5.0, 9.0)
    found, _ = run(models, tmp_path / "out", method="weighted", weights=[5, 2, 1])
    assert found["a"].tolist() == [[3.0, 3.0]] * 2


def test_an_exponential_moving_average_weighs_the_newest_most_and_its_weights_have_the_closed_form(tmp_path):
    models = put_constants(tmp_path, 0.0, 1.0, 2.0, 3.0, 4.0)
    run(models, tmp_path / "out", method="ema", decay=0.9)
    members = json.loads((tmp_path / "out/averaging.json").read_text())["members"]
    weights = [member["weight"] for member in members]
    assert weights == pytest.approx([0.9**age * (1 - 0.9) / (1 - 0.9**5) for age in range(5)], rel=1e-12)
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1.0, rel=1e-12)
    found, _ = run(models, tmp_path / "other", method="ema", decay=0.9)
    exact = sum(age * weight for age, weight in enumerate(weights))
    np.testing.assert_allclose(found["a"].numpy(), exact, rtol=1e-6)


def test_a_delta_moves_the_base_model_by_a_part_of_what_was_learnt(tmp_path):
    models = put_constants(tmp_path, 3.0, 5.0)
    extra = {"lm_head.weight": torch.ones(1), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)}
    base = put_model(tmp_path / "base", {"a": torch.full((2, 2), 2.0, dtype=torch.bfloat16)} | extra)
    for model in models:
        (model / "config.json").write_text('{"tie_word_embeddings": true}')
    found, _ = run(models, tmp_path / "out", base=base, delta_scale="1/4")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"a": [[2.5, 2.5]] * 2}
    found, _ = run(models, tmp_path / "negated", base=base, delta_scale=-1)
    assert found["a"].tolist() == [[0.0, 0.0]] * 2


def test_shards_in_and_one_file_in_give_the_same_bytes_and_shards_out_the_same_numbers(tmp_path):
    tensors = [{name: torch.randn(5, 4) for name in "abcd"} for _ in range(2)]
    whole = [put_model(tmp_path / f"whole-{at}", one) for at, one in enumerate(tensors)]
    parts = []
    for at, one in enumerate(tensors):
        part = put_model(tmp_path / f"part-{at}", one)
        (part / "model.safetensors").unlink()
        split = {"one.safetensors": "ad"[: at + 1], "two.safetensors": "bcd"[: 3 - at]}
        for shard, names in split.items():
            save_file({name: one[name] for name in names}, part / shard)
        weight_map = {name: shard for shard, names in split.items() for name in names}
        (part / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        parts.append(part)
    found, _ = run(whole, tmp_path / "out")
    run(parts, tmp_path / "out-of-parts")
    results = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "out-of-parts")]
    assert results[0] == results[1]
    sharded, _ = run(whole, tmp_path / "out-in-parts", shard_bytes=160)
    assert sorted(path.name for path in (tmp_path / "out-in-parts").iterdir()) == [
        "averaging.json",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert sharded.keys() == found.keys()
    assert all(torch.equal(sharded[name], found[name]) for name in found)


def test_the_plain_mean_is_a_bare_model_folder_and_every_other_form_says_what_it_is(tmp_path):
    models = put_constants(tmp_path, 1.0, 2.0)
    run(models, tmp_path / "plain", every_steps=1)
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["config.json", "model.safetensors"]
    run(models, tmp_path / "half", dtype="bfloat16", every_steps=500)
    assert json.loads((tmp_path / "half/averaging.json").read_text()) == {
        "snapshots": "the last 2 snapshots, one every 500 optimizer steps",
        "method": "uniform",
        "weights": "w_k = 1 / last, k = 0 the newest",
        "members": [
            {"member": "last-00", "weight": 0.5, "steps_before_end": 0},
            {"member": "last-01", "weight": 0.5, "steps_before_end": 500},
        ],
        "accumulate": "float32",
        "dtype": "bfloat16",
    }


def test_equal_proportions_of_any_size_give_equal_numbers():
    for factor in (Fraction(1, 10**40), Fraction(1), Fraction(10**40)):
        coefficients, divisor = scale_coefficients([3 * factor, 1 * factor, 2 * factor])
        assert (coefficients / divisor).tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 3], rel=1e-6)
        assert 1 <= coefficients.max() < 2


def test_memory_depends_on_the_stretch_and_not_on_the_largest_tensor(tmp_path, monkeypatch):
    elements, stretch = 1 << 20, 1 << 12
    models = [put_model(tmp_path / str(at), {"a": torch.ones(elements, dtype=torch.bfloat16)}) for at in range(3)]
    monkeypatch.setattr(mean, "STRETCH", stretch)
    average(models[:1], tmp_path / "warm", AveragingSettings(last=1))
    tracemalloc.start()
    average(models, tmp_path / "out", AveragingSettings(last=3, dtype="bfloat16"))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert load_file(tmp_path / "out/model.safetensors")["a"].shape == (elements,)
    assert peak_bytes < 40 * stretch < elements
