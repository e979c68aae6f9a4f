"""Averages of snapshots that transformers wrote: other families, shards, a base model of another writer."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from averaging_models import refer, run
from training_fakes import VOCAB

from mixlab.config.problems import DataError
from mixlab.training.models import foreign
from mixlab.training.models.foreign import ForeignModel
from mixlab.training.models.storage import StoredWeights
from mixlab.training.models.weights import named_weights, read_model, write_model
from mixlab.training.tensors.files import INDEX_FILE, find_tensors, list_weight_files

SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "tied": ("Qwen3Config", {**SIZES, "num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": True}),
    "own head": ("GPTNeoXConfig", {**SIZES, "tie_word_embeddings": False}),
}


def put_snapshots(base: Path, root: Path, count: int) -> list[Path]:
    """Write models as training writes its snapshots, each moved a little further from `base`."""
    model, folders = read_model(base), []
    assert isinstance(model, ForeignModel)
    for age in range(count):
        torch.manual_seed(age)
        with torch.no_grad():
            for weight in named_weights(model).values():
                weight.add_(torch.randn_like(weight), alpha=0.01)
        folders.append(root / f"last-{age:02d}")
        folders[-1].mkdir(parents=True)
        write_model(model, folders[-1])
    return folders


@pytest.fixture(params=FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A base model in bfloat16, its tied head stored as well, as older writers did."""
    transformers.utils.logging.disable_progress_bar()
    name, values = FAMILIES[request.param]
    torch.manual_seed(9)
    config = getattr(transformers, name)(**values)
    transformers.AutoModelForCausalLM.from_config(config).bfloat16().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def test_the_mean_of_foreign_snapshots_in_shards_is_a_model_of_the_family(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "SHARD_BYTES", 3_000)
    snapshots = put_snapshots(base, tmp_path / "run", 3)
    assert all((one / INDEX_FILE).is_file() and len(list_weight_files(one)) > 2 for one in snapshots)
    found, config = run(snapshots, tmp_path / "out")
    members = [StoredWeights(one) for one in snapshots]
    assert found.keys() == set(members[0])
    for name, mean in found.items():
        assert torch.equal(mean, refer([one[name] for one in members], [1] * 3))
    assert config == json.loads((snapshots[0] / "config.json").read_text())
    averaged = read_model(tmp_path / "out")
    assert isinstance(averaged, ForeignModel)
    (tmp_path / "written").mkdir()
    write_model(averaged, tmp_path / "written")  # by the names in files, which may be others than in memory
    written = StoredWeights(tmp_path / "written")
    assert written.keys() == found.keys()
    assert all(torch.equal(mean, written[name]) for name, mean in found.items())
    # another count of files of the same weights has the same mean
    monkeypatch.setattr(foreign, "SHARD_BYTES", 10**9)
    again = put_snapshots(base, tmp_path / "again", 3)
    assert not any((one / INDEX_FILE).is_file() for one in again)
    run([snapshots[0], *again[1:]], tmp_path / "mixed")
    assert (tmp_path / "mixed/model.safetensors").read_bytes() == (tmp_path / "out/model.safetensors").read_bytes()


def test_a_delta_from_a_foreign_base_of_another_dtype_that_stores_a_tied_head_is_taken(
    base: Path, tmp_path: Path
) -> None:
    (snapshot,) = put_snapshots(base, tmp_path / "run", 1)
    tied = json.loads((base / "config.json").read_text())["tie_word_embeddings"]
    weights = dict(StoredWeights(base))
    if tied:
        from safetensors.torch import save_file

        save_file(
            {**weights, "lm_head.weight": weights["model.embed_tokens.weight"].clone()}, base / "model.safetensors"
        )
        assert "lm_head.weight" in find_tensors(base)
        assert "lm_head.weight" not in find_tensors(snapshot)
    found, _ = run([snapshot], tmp_path / "out", base=base, delta_scale="1/2")
    member = StoredWeights(snapshot)
    for name, moved in found.items():
        assert torch.equal(moved, refer([member[name]], [1], base=weights[name], scale=0.5))
    assert isinstance(read_model(tmp_path / "out"), ForeignModel)


def test_an_index_that_lies_is_refused_for_foreign_snapshots_too(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "SHARD_BYTES", 3_000)
    (snapshot,) = put_snapshots(base, tmp_path / "run", 1)
    index = json.loads((snapshot / INDEX_FILE).read_text())
    held = Counter(index["weight_map"].values())
    name, shard = next((name, shard) for name, shard in sorted(index["weight_map"].items()) if held[shard] > 1)
    del index["weight_map"][name]
    (snapshot / INDEX_FILE).write_text(json.dumps(index))
    with pytest.raises(DataError, match=rf"{name}: {shard} holds it, but the index does not say so"):
        run([snapshot], tmp_path / "out")
