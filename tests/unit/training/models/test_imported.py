import json

import pytest
import torch
from huggingface_hub import save_torch_state_dict
from training_fakes import VOCAB, small_model

from mixlab.config.base_models import VocabularyResize
from mixlab.config.problems import DataError
from mixlab.training.models.imported import fit_model
from mixlab.training.models.in_turn import take_in_turn
from mixlab.training.models.storage import StoredWeights, write_weights
from mixlab.training.models.weights import build_model, named_weights, read_model, write_model


def put_model(folder, shard_bytes=10**9, dtype=torch.float32, **changes):
    """A model folder, in several files where `shard_bytes` asks for it."""
    model = build_model(small_model(**changes), seed=4)
    write_model(model, folder)
    (folder / "model.safetensors").unlink()
    tensors = {name: weight.detach().to(dtype) for name, weight in named_weights(model).items()}
    save_torch_state_dict(tensors, folder, max_shard_size=shard_bytes)
    return model


def describe(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_that_fits_is_left_as_it_is(tmp_path):
    put_model(tmp_path, shard_bytes=4_000)
    before = describe(tmp_path)
    fit_model(tmp_path, VOCAB, None)
    fit_model(tmp_path, VOCAB - 10, VocabularyResize())
    assert describe(tmp_path) == before


def test_a_tokenizer_with_more_entries_than_rows_is_refused_with_the_option_that_adds_them(tmp_path):
    put_model(tmp_path)
    with pytest.raises(DataError, match=r"has 60 entries, but the embeddings .* have 53 rows.*set resize_vocabulary"):
        fit_model(tmp_path, 60, None)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("shard_bytes", [10**9, 4_000], ids=["one file", "several files"])
def test_rows_added_are_the_mean_of_those_there_and_nothing_else_changes(tmp_path, tied, shard_bytes):
    old = {
        name: weight.detach()
        for name, weight in named_weights(put_model(tmp_path, shard_bytes, tie_embeddings=tied)).items()
    }
    fit_model(tmp_path, 60, VocabularyResize(multiple=16))
    model = read_model(tmp_path)
    new = named_weights(model)
    assert model.shape.vocab_size == 64
    grown = {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    for name, weight in old.items():
        if name in grown:
            assert torch.equal(new[name][:VOCAB], weight)
            assert torch.equal(new[name][VOCAB:], weight.mean(dim=0).expand(64 - VOCAB, -1))
        else:
            assert torch.equal(new[name], weight)
    assert grown <= old.keys()
    if shard_bytes == 4_000:
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == sum(weight.nbytes for weight in new.values())


def test_rows_are_added_in_the_dtype_that_is_there(tmp_path):
    put_model(tmp_path, dtype=torch.bfloat16)
    fit_model(tmp_path, 60, VocabularyResize())
    stored = StoredWeights(tmp_path)["model.embed_tokens.weight"]
    assert (stored.shape[0], stored.dtype) == (60, torch.bfloat16)


def test_transformers_reads_a_model_with_rows_added(tmp_path):
    from transformers import AutoModelForCausalLM

    put_model(tmp_path, shard_bytes=4_000)
    fit_model(tmp_path, 60, VocabularyResize())
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(theirs.lm_head.weight, named_weights(read_model(tmp_path))["model.embed_tokens.weight"])


def test_a_foreign_family_gets_its_rows_by_its_own_names(tmp_path):
    import transformers

    sizes = {"vocab_size": VOCAB, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    config = transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=1)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    old = StoredWeights(tmp_path)["transformer.wte.weight"].clone()
    fit_model(tmp_path, 60, VocabularyResize())
    model = read_model(tmp_path)
    assert model.shape.vocab_size == 60
    assert torch.equal(named_weights(model)["transformer.wte.weight"][VOCAB:], old.mean(dim=0).expand(7, -1))


def test_every_weight_that_does_not_fit_is_told_before_training(tmp_path):
    model = put_model(tmp_path)
    tensors = {name: weight.detach() for name, weight in named_weights(model).items()}
    tensors["model.extra.weight"] = tensors.pop("model.norm.weight")
    write_weights(take_in_turn(tensors), tmp_path)
    with pytest.raises(DataError) as caught:
        fit_model(tmp_path, VOCAB, None)
    assert {problem.key for problem in caught.value.problems} == {"model.norm.weight", "model.extra.weight"}


def test_a_config_that_states_another_vocabulary_than_its_weights_is_refused(tmp_path):
    put_model(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 50}))
    with pytest.raises(
        DataError, match=r"model\.embed_tokens\.weight: has shape \(53, 16\), the model wants \(50, 16\)"
    ):
        fit_model(tmp_path, VOCAB, VocabularyResize())


def test_a_head_that_transformers_stores_under_another_name_gets_its_rows_too(tmp_path):
    import transformers

    sizes = {"vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.GPTNeoXConfig(**sizes, intermediate_size=24, max_position_embeddings=64)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    before = dict(StoredWeights(tmp_path))
    assert "embed_out.weight" in before  # lm_head.weight in memory
    fit_model(tmp_path, 60, VocabularyResize())
    after = StoredWeights(tmp_path)
    assert {name for name in before if after.shape_of(name) != tuple(before[name].shape)} == {
        "embed_out.weight",
        "gpt_neox.embed_in.weight",
    }
    assert read_model(tmp_path).shape.vocab_size == 60
