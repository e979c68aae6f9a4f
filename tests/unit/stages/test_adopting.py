"""What a checkpoint is compared with: the nearest model above that is here, or the one that pretraining draws."""

from pathlib import Path
from typing import Any

import pytest
from labs import DIGEST, TRAINING
from tokenizers import AddedToken, Tokenizer, models
from training_fakes import VOCAB, small_model

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.store import Store
from mixlab.config.problems import DataError
from mixlab.plan import specs
from mixlab.plan.graph import Node, Plan
from mixlab.stages.adopting import adopt
from mixlab.stages.pretrain import open_start
from mixlab.training.models.weights import NewModel, build_model, write_model

PAD, END = VOCAB - 2, VOCAB - 1
"""Of the tokenizer below: not those that a new model has by default."""
OURS = NewModel(small_model().settings, VOCAB, PAD, END)
ORIGIN = {"type": "files", "files": [{"name": "config.json", "digest": DIGEST}]}


class Study:
    """A plan of one chain, from a tokenizer to an average, in an empty store."""

    def __init__(self, root: Path, averaging: dict[str, Any] | None = None, *, scratch: bool = False) -> None:
        self.plan, self.store, self.given = Plan(), Store(root), root / "given"
        tokenizer = {"type": "file", "digest": DIGEST, "end_token": "<|end|>"}
        self.tokenizer = self.plan.add(specs.TokenizerSpec.model_validate({"tokenizer": tokenizer}), {}, "a tokenizer")
        self.base = self.plan.add(build_base(scratch=scratch), {"tokenizer": (self.tokenizer.key,)}, "a base model")
        ipt = specs.IptSpec.model_validate({"training": TRAINING, "ipt_seed": 1})
        self.ipt = self.plan.add(ipt, {"base_model": (self.base.key,)}, "a run")
        average = specs.AverageSpec.model_validate({"averaging": {"last": 1} | (averaging or {})})
        parents = {"snapshots": (f"{self.ipt.key}:last-00",)}
        if averaging is not None:
            parents["base_model"] = (self.base.key,)
        self.average = self.plan.add(average, parents, "an average")

    def give(self, model: NewModel = OURS) -> None:
        """Lay a checkpoint down that is to be adopted."""
        self.given.mkdir()
        write_model(build_model(model, 1), self.given)

    def publish(self, node: Node, model: NewModel | None = OURS, member: str = "") -> None:
        """Finish an artifact: a model, or a tokenizer of as many entries."""
        with self.store.writing(*node.name) as draft:
            assert draft is not None
            if model is None:
                save_tokenizer(draft.out)
            else:
                (draft.out / member).mkdir(exist_ok=True)
                write_model(build_model(model, 2), draft.out / member)
            draft.publish({}, {})

    def adopt(self, node: Node) -> None:
        adopt(self.store, self.plan, node, self.given, "ours", link=False)


def build_base(*, scratch: bool) -> specs.Spec:
    if not scratch:
        return specs.BaseModelSpec.model_validate({"base_model": {"origin": ORIGIN}})
    model = OURS.settings.model_dump(mode="json")
    return specs.PretrainSpec.model_validate({"model": model, "training": TRAINING, "pretrain_seed": 1})


def save_tokenizer(folder: Path) -> None:
    made = Tokenizer(models.BPE({f"t{number}": number for number in range(VOCAB - 2)}, []))
    made.add_special_tokens([AddedToken(token, special=True) for token in ("<|pad|>", "<|end|>")])
    made.save(str(folder / "tokenizer.json"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("averaging", [None, {"delta_scale": 0.5}])
def test_without_the_base_model_that_is_read_nothing_can_be_compared(
    tmp_path: Path, averaging: dict[str, Any] | None
) -> None:
    study = Study(tmp_path, averaging)
    study.give()
    for node in (study.ipt, study.average):
        with pytest.raises(ArtifactError) as caught:
            study.adopt(node)
        key = study.base.key
        assert str(caught.value).startswith(f"base_model {key}: not here, and the shape cannot be compared without")
        assert str(caught.value).endswith(f"run snakemake for it, or `mixlab restore {key}`")
        assert not study.store.is_complete(*node.name)


def test_the_base_model_that_is_read_gives_the_shape(tmp_path: Path) -> None:
    study = Study(tmp_path, {"delta_scale": 0.5})
    study.publish(study.base)
    study.give()
    study.adopt(study.average)
    assert study.store.is_complete(*study.average.name)
    study.publish(study.ipt, small_model(layers=1), member="last-00")
    other = study.plan.add(specs.AverageSpec.model_validate({"averaging": {"last": 2}}), study.average.parents, "more")
    with pytest.raises(DataError, match="is 2, but training begins with a model where it is 1"):
        study.adopt(other)


def test_a_pretrained_model_has_its_tokenizers_own_padding_and_end(tmp_path: Path) -> None:
    study = Study(tmp_path, scratch=True)
    study.publish(study.tokenizer, None)
    assert isinstance(study.base.spec, specs.PretrainSpec)
    assert open_start(study.base.spec, study.store.folder(*study.tokenizer.name)) == OURS
    study.give()
    study.adopt(study.base)
    assert study.store.is_complete(*study.base.name)


def test_a_pretrained_model_with_another_end_is_refused(tmp_path: Path) -> None:
    study = Study(tmp_path, scratch=True)
    study.publish(study.tokenizer, None)
    study.give(small_model())
    with pytest.raises(DataError, match=rf"is 1, but training begins with a model where it is {END}"):
        study.adopt(study.base)
