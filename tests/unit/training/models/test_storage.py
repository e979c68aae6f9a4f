import json

import pytest
import torch
from training_fakes import small_model

from mixlab.config.problems import DataError
from mixlab.training.models.in_turn import take_in_turn
from mixlab.training.models.shape import LlamaShape
from mixlab.training.models.storage import StoredWeights, write_weights
from mixlab.training.models.weights import build_model, named_weights, read_model, write_model
from mixlab.training.tensors.files import INDEX_FILE, list_weight_files


def write_sharded(folder):
    model = build_model(small_model(), seed=4)
    write_model(model, folder)
    (folder / "model.safetensors").unlink()
    write_weights(take_in_turn(named_weights(model)), folder, 4_000)
    return model


def test_a_model_in_several_files_is_read_as_it_was_written(tmp_path):
    model = write_sharded(tmp_path)
    files = list_weight_files(tmp_path)
    assert len(files) > 1
    assert all(path.stat().st_size < 4_000 + 1_000 for path in files)  # and a header of less than 1 kB
    index = json.loads((tmp_path / INDEX_FILE).read_text())
    assert index["metadata"]["total_size"] == sum(weight.nbytes for weight in named_weights(model).values())
    again = named_weights(read_model(tmp_path))
    assert all(torch.equal(weight, again[name]) for name, weight in named_weights(model).items())


def test_transformers_reads_the_files_and_we_read_its_own(tmp_path):
    from transformers import LlamaForCausalLM

    model, theirs = write_sharded(tmp_path), tmp_path / "theirs"
    opened = LlamaForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(opened.lm_head.weight, model.lm_head.weight)
    opened.save_pretrained(theirs, max_shard_size=4_000)
    assert (theirs / INDEX_FILE).is_file()
    again = read_model(theirs)
    assert isinstance(again.shape, LlamaShape)
    assert all(torch.equal(weight, named_weights(again)[name]) for name, weight in named_weights(model).items())


def test_a_file_that_the_index_names_must_be_there(tmp_path):
    write_sharded(tmp_path)
    lost = list_weight_files(tmp_path)[1]
    lost.unlink()
    with pytest.raises(DataError, match=rf"{lost.name}: no readable weights: it is not there"):
        StoredWeights(tmp_path)
    with pytest.raises(DataError, match=lost.name):
        list_weight_files(tmp_path)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("{", "no readable index"),
        ("{}", "weight_map: expected names of tensors and the shard of each"),
        ('{"weight_map": {"a": "../other.safetensors"}}', "a: expected the name of a safetensors file"),
        ('{"weight_map": {"a": "pytorch_model.bin"}}', "a: expected the name of a safetensors file"),
    ],
)
def test_an_index_that_cannot_be_followed_is_refused(tmp_path, index, words):
    (tmp_path / INDEX_FILE).write_text(index)
    with pytest.raises(DataError, match=words):
        StoredWeights(tmp_path)


def test_a_weight_that_the_index_promises_must_be_in_its_file(tmp_path):
    write_sharded(tmp_path)
    path = tmp_path / INDEX_FILE
    index = json.loads(path.read_text())
    index["weight_map"]["model.extra"] = next(iter(index["weight_map"].values()))
    path.write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"model\.extra: the index puts it into .*, which does not hold it"):
        StoredWeights(tmp_path)


def test_a_folder_with_pickles_alone_is_refused_with_the_cure(tmp_path):
    write_model(build_model(small_model(), seed=4), tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"only pytorch_model\.bin: pickles can run code.*save_pretrained"):
        read_model(tmp_path)


def test_a_tied_head_that_is_stored_too_is_passed_over_and_an_unknown_weight_is_not(tmp_path):
    model = build_model(small_model(), seed=4)
    write_model(model, tmp_path)
    tensors = {name: weight.detach() for name, weight in named_weights(model).items()}
    head = {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}
    write_weights(take_in_turn({**tensors, **head}), tmp_path)
    assert "lm_head.weight" not in named_weights(read_model(tmp_path))
    write_weights(take_in_turn({**tensors, **head, "model.other": torch.zeros(2)}), tmp_path)
    with pytest.raises(DataError, match=r"model\.other: weight is unknown"):
        read_model(tmp_path)
