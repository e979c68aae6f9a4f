"""What counts as the model that was asked for: all else is refused by name, every problem at once."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from training_fakes import VOCAB, small_model

from mixlab.config.problems import DataError
from mixlab.training.external.checking import Expected, Found, check_models, find_shape, write_start
from mixlab.training.external.collecting import collect_files
from mixlab.training.models.weights import build_model, read_model, write_model

WEIGHTS, CONFIG, INDEX = "model.safetensors", "config.json", "model.safetensors.index.json"
EMBEDDING = "model.embed_tokens.weight"
ONE = Expected(find_shape(small_model()))
TWO = Expected(ONE.shape, ("last-00", "last-01"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    write_model(build_model(small_model(), 1), path)
    return path


def refuse(folder: Path, expected: Expected = ONE) -> list[str]:
    with pytest.raises(DataError) as caught:
        check_models(folder, expected)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def change_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | changes))


def split(folder: Path) -> None:
    """Turn a model into two shards with an index."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[:3], "model-00002-of-00002.safetensors": names[3:]}
    for shard, members in shards.items():
        save_file({name: weights[name] for name in members}, folder / shard)
    places = {name: shard for shard, members in shards.items() for name in members}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_a_model_is_found_and_what_lies_beside_it_is_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "runs").mkdir()
    (folder / "runs/log.txt").write_text("loss 3")
    (folder / "generation_config.json").write_text("{}")
    found = check_models(folder, ONE)
    assert found == Found((CONFIG, WEIGHTS), ("generation_config.json", "runs/log.txt"))
    collect_files(folder, found, tmp_path / "taken", link=True)
    assert sorted(path.name for path in (tmp_path / "taken").rglob("*")) == [CONFIG, WEIGHTS]
    assert (tmp_path / "taken" / WEIGHTS).samefile(folder / WEIGHTS)
    collect_files(folder, found, tmp_path / "copied", link=False)
    assert not (tmp_path / "copied" / WEIGHTS).samefile(folder / WEIGHTS)
    assert read_model(tmp_path / "copied").shape == ONE.shape


def test_a_file_that_cannot_be_linked_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_link(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse_link)
    found = check_models(folder, ONE)
    with pytest.raises(DataError, match=r"config.json: cannot be linked \(Invalid cross-device link\)"):
        collect_files(folder, found, tmp_path / "taken", link=True)


def test_half_precision_and_shards_are_as_good(folder: Path) -> None:
    change_weights(folder / WEIGHTS, lambda weights: weights.update({n: w.bfloat16() for n, w in weights.items()}))
    split(folder)
    assert len(check_models(folder, ONE).kept) == 4


def test_the_beginning_of_a_model_from_scratch_is_its_configuration_alone(tmp_path: Path) -> None:
    start = write_start(small_model(), tmp_path / "start")
    assert [path.name for path in start.iterdir()] == [CONFIG]
    assert find_shape(start) == ONE.shape


def test_every_snapshot_asked_for_and_no_other_is_taken(folder: Path, tmp_path: Path) -> None:
    for name in ("last-00", "last-02"):
        (tmp_path / name).mkdir()
        write_model(build_model(small_model(), 1), tmp_path / name)
    told = refuse(tmp_path, TWO)
    assert "last-02: was not asked for; asked for: last-00 to last-01" in told
    assert f"last-01: no model: neither {WEIGHTS} nor {INDEX} is there" in told
    assert any(line.startswith(f"last-01/{CONFIG}: no readable Hugging Face config") for line in told)
    assert refuse(tmp_path, ONE)[0].startswith("last-00: was not asked for; asked for: one model without snapshots")
    (tmp_path / "last-02").rename(tmp_path / "last-01")
    assert check_models(tmp_path, TWO).kept == tuple(
        f"{member}/{name}" for member in TWO.members for name in (CONFIG, WEIGHTS)
    )


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.PT", "runs/rng.pkl", "__0_0.distcp"])
def test_what_may_hold_pickled_objects_is_refused_wherever_it_lies(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04N.")
    assert refuse(folder) == [f"{name}: may hold pickled objects, which run code when opened; write safetensors alone"]


def test_code_and_links_are_refused(folder: Path) -> None:
    (folder / "modeling_mine.py").write_text("")
    (folder / "link.txt").symlink_to("/etc/hostname")
    change_config(folder, auto_map={"AutoModel": "modeling_mine.Mine"})
    assert refuse(folder) == [
        "link.txt: is a link or no plain file; put the file itself there",
        "modeling_mine.py: is code; a model is config.json and safetensors",
        "config.json: auto_map: names code of its own; a model is config.json and safetensors",
    ]


def test_a_padded_vocabulary_and_another_shape_are_told_by_name(folder: Path) -> None:
    change_config(folder, vocab_size=64, num_hidden_layers=3, eos_token_id=7, pad_token_id=9)
    change_weights(folder / WEIGHTS, lambda weights: weights.update({EMBEDDING: torch.zeros(64, 16)}))
    assert refuse(folder) == [
        f"{CONFIG}: vocab_size: is 64, but training begins with a model where it is {VOCAB}; "
        "cut off the vocabulary's padding",
        f"{CONFIG}: num_hidden_layers: is 3, but training begins with a model where it is 2; "
        "keep the config.json it begins with",
        f"{CONFIG}: eos_token_id: is 7, but training begins with a model where it is 1; "
        "keep the config.json it begins with",
        f"{WEIGHTS}: {EMBEDDING}: has shape (64, 16), ({VOCAB}, 16) was expected",
    ]


def test_weights_missing_unknown_of_another_dtype_or_not_finite_are_told_together(folder: Path) -> None:
    norm, gone, odd = "model.norm.weight", "model.layers.0.mlp.up_proj.weight", "model.layers.1.input_layernorm.weight"

    def spoil(weights: dict[str, torch.Tensor]) -> None:
        weights[norm][3] = torch.nan
        weights[odd] = weights[odd].double()
        weights["adapter.weight"] = weights.pop(gone)

    change_weights(folder / WEIGHTS, spoil)
    assert set(refuse(folder)) == {
        f"{WEIGHTS}: adapter.weight: weight is unknown to the model that config.json describes",
        f"{WEIGHTS}: {odd}: is F64; allowed: F32, BF16, F16",
        f"{WEIGHTS}: {norm}: holds NaN or infinity; the run diverged",
        f"{folder}: {gone}: weight is missing",
    }


def test_a_tied_head_that_is_another_matrix_is_refused(folder: Path) -> None:
    change_weights(folder / WEIGHTS, lambda weights: weights.update({"lm_head.weight": weights[EMBEDDING].clone()}))
    assert check_models(folder, ONE).kept
    change_weights(folder / WEIGHTS, lambda weights: weights.update({"lm_head.weight": weights[EMBEDDING] + 1}))
    assert refuse(folder) == [
        f"{WEIGHTS}: lm_head.weight: differs from {EMBEDDING}, and config.json says that they are tied"
    ]


def test_broken_files_and_shards_that_do_not_fit_their_index_are_refused(folder: Path) -> None:
    split(folder)
    first, second = sorted(folder.glob("model-*"))
    index = json.loads((folder / INDEX).read_text())
    moved = next(name for name, shard in index["weight_map"].items() if shard == first.name)
    (folder / INDEX).write_text(json.dumps({"weight_map": index["weight_map"] | {moved: second.name}}))
    assert refuse(folder) == [f"{INDEX}: {moved}: the index puts it into {second.name}, but it is in {first.name}"]
    (folder / INDEX).write_text(json.dumps(index))
    second.write_bytes(second.read_bytes()[:-5])
    (told,) = refuse(folder)
    assert told.startswith(f"{second.name}: no readable weights (")
    second.unlink()
    (told,) = refuse(folder)
    assert told.startswith(f"{second.name}: no readable weights: it is not there")
    (folder / INDEX).write_text('{"weight_map": {"a": "../model.safetensors"}}')
    assert refuse(folder) == [
        f"{INDEX}: a: expected the name of a safetensors file beside the index, got '../model.safetensors'"
    ]
    (folder / INDEX).write_text("[]")
    assert refuse(folder) == [f"{INDEX}: weight_map: expected names of tensors and the shard of each"]
    (folder / WEIGHTS).write_bytes(b"")
    assert refuse(folder) == [f"{WEIGHTS}: is there beside {INDEX}; which of them is the model?"]
