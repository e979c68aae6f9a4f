import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import split_state_dict_into_shards_factory
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mixlab.training.tensors.dtypes import narrow
from mixlab.training.tensors.files import TensorForm, find_tensors
from mixlab.training.tensors.writing import count_bytes, write_model_files, write_text

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
FORMS = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.tuples(st.sampled_from(list(DTYPES)), st.lists(st.integers(0, 7), max_size=3).map(tuple)),
    min_size=1,
    max_size=8,
)
F32_FORMS = {name: TensorForm("F32", (2, 3)) for name in ("a", "b", "c")}


@contextmanager
def quick_folder():
    """A folder whose files are not put on disk: a busy one takes longer for that than for all else."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield Path(folder)


def make_values(form, seed):
    return np.random.default_rng(seed).standard_normal(form.elements).astype(np.float32)


def zeros(name):
    yield np.zeros(6, np.float32)


@given(chosen=FORMS, stretch=st.integers(1, 50), shard_bytes=st.none() | st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_the_library_reads_what_was_written_in_stretches_of_any_length_and_shards_of_any_size(
    chosen, stretch, shard_bytes
):
    forms = {name: TensorForm(*form) for name, form in chosen.items()}
    values = {name: make_values(form, seed) for seed, (name, form) in enumerate(forms.items())}

    def stretches(name):
        for first in range(0, values[name].size, stretch):
            yield narrow(values[name][first : first + stretch], forms[name].word)

    with quick_folder() as folder:
        write_model_files(folder, forms, shard_bytes, stretches)
        files = sorted(folder.glob("*.safetensors"))
        found = {name: tensor for file in files for name, tensor in load_file(file).items()}
        expected = {
            name: torch.from_numpy(values[name]).to(DTYPES[form.word]).reshape(form.shape)
            for name, form in forms.items()
        }
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor)
        assert list(find_tensors(folder)) == sorted(forms)
        assert not list(folder.glob("*.partial"))


@given(chosen=FORMS, shard_bytes=st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_shards_and_their_index_are_those_of_the_hubs_library(chosen, shard_bytes):
    forms = {name: TensorForm(*form) for name, form in chosen.items()}
    theirs = split_state_dict_into_shards_factory(
        forms,
        get_storage_size=count_bytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )
    with quick_folder() as folder:
        write_model_files(
            folder, forms, shard_bytes, lambda name: [narrow(make_values(forms[name], 0), forms[name].word)]
        )
        held = {path.name: set(load_file(path)) for path in folder.glob("*.safetensors")}
        # theirs puts a tensor that is larger than a shard aside and writes on; ours keeps the order of the names
        if all(count_bytes(form) <= shard_bytes for form in forms.values()):
            assert held == {name: set(names) for name, names in theirs.filename_to_tensors.items()}
        index = folder / "model.safetensors.index.json"
        assert index.exists() == (len(held) > 1)
        if len(held) > 1:
            said = json.loads(index.read_text())
            assert said["weight_map"] == {name: shard for shard, names in held.items() for name in names}
            assert said["metadata"]["total_size"] == theirs.metadata["total_size"]


def test_no_shard_is_larger_than_asked_unless_one_tensor_is(tmp_path):
    forms = {"a": TensorForm("F32", (5,)), "b": TensorForm("F32", (40,)), "c": TensorForm("F32", (5,))}
    forms["d"] = TensorForm("F32", (5,))
    write_model_files(tmp_path, forms, 40, lambda name: [np.zeros(forms[name].elements, np.float32)])
    held = {path.name: sorted(load_file(path)) for path in tmp_path.glob("*.safetensors")}
    names = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    assert held == dict(zip(names, (["a"], ["b"], ["c", "d"]), strict=True))


def test_weights_of_another_layout_do_not_stay_beside_the_new_ones(tmp_path):
    for shard_bytes, names in ((24, 4), (None, 1), (48, 3)):
        write_model_files(tmp_path, F32_FORMS, shard_bytes, zeros)
        assert len(list(tmp_path.iterdir())) == names
        assert list(find_tensors(tmp_path)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given_values", "said"),
    [
        (np.zeros(5, np.float32), "a: 5 elements given"),
        (np.zeros(7, np.float32), "a: 7 elements given"),
        (np.zeros(6, np.float64), "a: float64 given"),
    ],
)
def test_what_does_not_fit_its_form_is_refused_and_the_old_model_stays(tmp_path, given_values, said):
    save_file({"old": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=said):
        write_model_files(tmp_path, F32_FORMS, None, lambda name: [given_values])
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert list(find_tensors(tmp_path)) == ["old"]


CHILD = """
import resource, sys, time
from pathlib import Path
import numpy as np
from mixlab.training.tensors.files import TensorForm
from mixlab.training.tensors.writing import write_model_files

def stretches(name):
    for _ in range(16):
        yield np.zeros(4096, np.float32)
    if sys.argv[2] == "stop" and name == "b":
        print("half", flush=True)
        time.sleep(60)

if sys.argv[2] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
forms = {name: TensorForm("F32", (256, 256)) for name in ("a", "b", "c")}
try:
    write_model_files(Path(sys.argv[1]), forms, 300_000, stretches)
except OSError as error:
    print(error.filename, flush=True)
"""


def test_a_file_that_cannot_grow_any_more_is_named_and_nothing_is_left(tmp_path):
    done = subprocess.run([sys.executable, "-c", CHILD, tmp_path, "full"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "model-00001-of-00003.safetensors.partial")
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_is_no_model_and_is_gone_after_the_next_write(tmp_path):
    with subprocess.Popen([sys.executable, "-c", CHILD, tmp_path, "stop"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "half\n"
        child.send_signal(signal.SIGKILL)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"model-0000{number}-of-00003.safetensors.partial" for number in (1, 2)]
    write_model_files(tmp_path, F32_FORMS, None, zeros)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named_with_the_small_file_that_did_not_fit(tmp_path):
    (tmp_path / "config.json.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_text(tmp_path / "config.json", "{}")
    assert caught.value.filename == str(tmp_path / "config.json.partial")
    assert list(tmp_path.iterdir()) == []
