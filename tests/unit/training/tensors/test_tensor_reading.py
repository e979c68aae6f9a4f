import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from mixlab.config.problems import DataError
from mixlab.training.tensors import reading
from mixlab.training.tensors.files import TensorForm, find_tensors, list_weight_files
from mixlab.training.tensors.reading import FloatReader

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
SHAPES = st.lists(st.integers(0, 7), max_size=3).map(tuple)
TENSORS = st.dictionaries(st.text(min_size=1, max_size=5), st.tuples(st.sampled_from(list(DTYPES)), SHAPES), min_size=1)


def make_tensor(word, shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DTYPES[word])


def read_all(tensor, stretch):
    values = np.empty(tensor.form.elements, np.float32)
    with FloatReader() as reader:
        for first in range(0, values.size, stretch):
            reader.read(tensor, first, values[first : first + stretch])
    return values


@given(forms=TENSORS, stretch=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_any_tensor_that_the_library_wrote_is_read_alike_in_stretches_of_any_length(forms, stretch):
    tensors = {name: make_tensor(*form, seed) for seed, (name, form) in enumerate(forms.items())}
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, Path(folder, "model.safetensors"), metadata={"format": "pt"})
        found = find_tensors(Path(folder))
        assert list(found) == sorted(tensors)
        for name, expected in tensors.items():
            assert found[name].form == TensorForm(forms[name][0], tuple(expected.shape))
            assert read_all(found[name], stretch).tobytes() == expected.float().numpy().tobytes()


def write_shards(folder, shards, weight_map=None):
    for shard, tensors in shards.items():
        save_file(tensors, folder / shard)
    said = {name: shard for shard, tensors in shards.items() for name in tensors} | (weight_map or {})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": said}))


def test_shards_are_read_as_one_model_and_a_single_file_comes_first(tmp_path):
    write_shards(tmp_path, {"a.safetensors": {"y": torch.ones(2)}, "b.safetensors": {"x": torch.zeros(3)}})
    assert {name: tensor.path.name for name, tensor in find_tensors(tmp_path).items()} == {
        "x": "b.safetensors",
        "y": "a.safetensors",
    }
    assert [path.name for path in list_weight_files(tmp_path)] == ["a.safetensors", "b.safetensors"]
    save_file({"z": torch.ones(1)}, tmp_path / "model.safetensors")
    assert list(find_tensors(tmp_path)) == ["z"]


@pytest.mark.parametrize(
    ("weight_map", "said"),
    [
        ({"gone": "a.safetensors"}, "gone: the index puts it into a.safetensors, which does not hold it"),
        ({"y": "b.safetensors"}, "y: the index puts it into b.safetensors, but it is in a.safetensors"),
        ({"x": "c.safetensors"}, "c.safetensors: no readable weights"),
        ({"x": "../b.safetensors"}, "x: expected the name of a safetensors file beside the index, got '../b"),
        ({"x": "b.bin"}, "x: expected the name of a safetensors file beside the index, got 'b.bin'"),
        ({"x": 3}, "x: expected the name of a safetensors file beside the index, got 3"),
    ],
)
def test_an_index_that_says_anything_else_than_its_shards_is_refused_by_name(tmp_path, weight_map, said):
    shards = {"a.safetensors": {"y": torch.ones(2), "w": torch.ones(1)}, "b.safetensors": {"x": torch.zeros(3)}}
    write_shards(tmp_path, shards, weight_map)
    with pytest.raises(DataError) as caught:
        find_tensors(tmp_path)
    assert said in str(caught.value)


def test_every_shard_that_is_damaged_and_every_weight_that_two_shards_hold_is_told(tmp_path):
    shards = {"a.safetensors": {"w": torch.ones(1), "y": torch.ones(2)}, "b.safetensors": {"y": torch.ones(2)}}
    write_shards(tmp_path, shards)
    with pytest.raises(DataError, match=r"y: the index puts it into b.safetensors, but it is in a.*, b.safetensors"):
        find_tensors(tmp_path)
    for shard in ("a.safetensors", "b.safetensors"):
        (tmp_path / shard).write_bytes(b"cut off")
    # a file that no index names is nobody's
    write_shards(tmp_path, {"c.safetensors": {"w": torch.ones(2)}}, {"x": "a.safetensors", "y": "b.safetensors"})
    with pytest.raises(DataError) as caught:
        find_tensors(tmp_path)
    assert [Path(problem.file or "").name for problem in caught.value.problems] == ["a.safetensors", "b.safetensors"]


def test_a_weight_that_the_index_leaves_out_is_told(tmp_path):
    write_shards(tmp_path, {"a.safetensors": {"w": torch.ones(1), "y": torch.ones(2)}})
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"w": "a.safetensors"}}')
    with pytest.raises(DataError, match=r"y: a\.safetensors holds it, but the index does not say so"):
        find_tensors(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map": {}}', '{"weight_map": 3}'])
def test_an_index_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(DataError, match=r"index\.json: (no readable index|weight_map: expected names of tensors)"):
        find_tensors(tmp_path)


@pytest.mark.parametrize("kept_bytes", [0, 7, 30, -1])
def test_a_file_that_was_cut_off_is_refused(tmp_path, kept_bytes):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(40)}, path)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(DataError, match=r"model\.safetensors: no readable weights"):
        find_tensors(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"model\.safetensors: no readable weights"):
        find_tensors(tmp_path)


def test_a_file_that_shrinks_after_its_header_was_read_is_an_error_not_a_crash(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(40)}, path)
    tensor = find_tensors(tmp_path)["a"]
    os.truncate(path, path.stat().st_size - 8)
    with pytest.raises(DataError, match=r"model\.safetensors: ends before its header says"):
        read_all(tensor, 40)


def test_a_file_that_is_gone_is_named_by_the_error(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(40)}, path)
    tensor = find_tensors(tmp_path)["a"]
    path.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        read_all(tensor, 40)
    assert caught.value.filename == str(path)


def test_more_files_than_may_be_open_are_read_in_turns_and_none_stays_open(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "OPEN_FILES", 3)
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        save_file({"a": torch.full((4,), float(number))}, tmp_path / str(number) / "model.safetensors")
    tensors = [find_tensors(tmp_path / str(number))["a"] for number in range(5)]
    before = os.listdir("/proc/self/fd")
    out = np.empty(2, np.float32)
    with FloatReader() as reader:
        for number in (0, 1, 2, 3, 4, 0, 2):
            reader.read(tensors[number], 1, out)
            assert out.tolist() == [number] * 2
            assert len(os.listdir("/proc/self/fd")) <= len(before) + 3
    assert len(os.listdir("/proc/self/fd")) == len(before)
