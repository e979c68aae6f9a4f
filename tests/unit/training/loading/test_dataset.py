"""A mixture as a torch Dataset: the same windows for any number of workers and ranks, from any step."""

import itertools
import pickle
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from mixlab.training.loading import dataset as dataset_module
from mixlab.training.loading.batches import DocumentAttention, Loss, Stream, load_batch
from mixlab.training.loading.dataset import MixtureDataset, MixtureSampler, collate_windows

SIZE, COUNT = 8, 13


@dataclass(frozen=True)
class FakeWindow:
    tokens_T: np.ndarray
    segment_lengths: list[int]
    response_mask_T: np.ndarray


@dataclass
class FakeWindows:
    """Windows of one to three documents; the last half of each token's window is an answer."""

    folders: tuple[object, ...]
    sequence_tokens: int = SIZE
    opened: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return COUNT

    def window(self, place: int) -> FakeWindow:
        lengths = [1 + place % 3, 2, 1 + place % 2][: 1 + place % 3]
        tokens = np.arange(sum(lengths)) + 10 * place + 1
        return FakeWindow(tokens, lengths, np.arange(len(tokens)) >= len(tokens) // 2)


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> MixtureDataset:
    monkeypatch.setattr(dataset_module, "MixtureWindows", lambda *folders: FakeWindows(folders))
    return MixtureDataset(Path("mixture"), [Path("pack")], [Path("store")])


def test_an_item_is_its_window_padded_to_the_full_length(dataset: MixtureDataset) -> None:
    item = dataset[2]
    assert item["tokens"].tolist() == [21, 22, 23, 24, 25, 26, 0, 0]
    assert item["position_ids"].tolist() == [0, 1, 2, 0, 1, 0, 0, 0]
    assert item["document_ids"].tolist() == [0, 0, 0, 1, 1, 2, -1, -1]
    assert item["loss_mask"].tolist() == [False, True, True, False, True, False, False, False]
    assert [item[name].dtype for name in ("tokens", "loss_mask")] == [torch.int64, torch.bool]


def test_without_padding_an_item_has_the_tokens_of_its_window(dataset: MixtureDataset) -> None:
    dataset.padded = False
    assert {name: len(value) for name, value in dataset[2].items()} == dict.fromkeys(dataset[2], 6)
    batch = collate_windows([dataset[place] for place in (0, 2)], pad_token=7)
    assert batch["tokens"].tolist() == [[1, 7, 7, 7, 7, 7], [21, 22, 23, 24, 25, 26]]
    assert batch["document_ids"][0].tolist() == [0, -1, -1, -1, -1, -1]
    assert not batch["loss_mask"][0].any()


@pytest.mark.parametrize("attention", ["isolated", "across"])
@pytest.mark.parametrize("loss", ["all", "response"])
def test_an_item_is_what_our_own_training_computes(
    dataset: MixtureDataset, loss: Loss, attention: DocumentAttention
) -> None:
    dataset.loss, dataset.document_attention, dataset.padded = loss, attention, False
    for place in range(COUNT):
        item = dataset[place]
        (batch,) = load_batch(FakeWindows(()), [place], 1, loss, 1000, attention).micro
        assert item["tokens"][item["loss_mask"]].tolist() == batch.targets_N.tolist()
        assert item["position_ids"].tolist() == batch.positions_BT[0].tolist()
        assert item["document_ids"].tolist() == batch.documents_BT[0].tolist()


@pytest.mark.parametrize("place", [-1, COUNT])
def test_a_place_outside_of_the_mixture_is_an_index_error(dataset: MixtureDataset, place: int) -> None:
    with pytest.raises(IndexError, match=f"window {place} of 13"):
        dataset[place]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_mixture_in_order_whatever_the_workers(dataset: MixtureDataset, workers: int) -> None:
    loader = DataLoader(dataset, batch_sampler=MixtureSampler(COUNT, 4), num_workers=workers)
    batches = list(loader)
    assert [len(batch["tokens"]) for batch in batches] == [4, 4, 4, 1]
    for name in dataset[0]:
        rows = [row for batch in batches for row in batch[name].tolist()]
        assert rows == [dataset[place][name].tolist() for place in range(COUNT)], name


def test_files_are_opened_in_each_process_and_a_pickle_holds_paths_alone(
    dataset: MixtureDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pickle.dumps(dataset)
    assert b"FakeWindows" not in data
    opened: list[object] = []
    monkeypatch.setattr(
        dataset_module, "MixtureWindows", lambda *folders: opened.append(folders) or FakeWindows(folders)
    )
    again = pickle.loads(data)
    assert again[1]["tokens"].tolist() == dataset[1]["tokens"].tolist()
    assert opened == [(Path("mixture"), (Path("pack"),), (Path("store"),))]
    monkeypatch.setattr("os.getpid", lambda: -7)
    again[1], again[2]
    assert len(opened) == 2


@given(
    windows=st.integers(1, 60),
    each=st.integers(1, 4),
    ranks=st.sampled_from([1, 2, 4, 8]),
    micro_batch=st.integers(1, 5),
    passes=st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(5, 2)]),
    order=st.sampled_from(["mixture", "shuffled"]),
    data=st.data(),
)
def test_all_ranks_together_see_what_our_own_training_sees_from_any_step(
    windows: int, each: int, ranks: int, micro_batch: int, passes: Fraction, order: str, data: st.DataObject
) -> None:
    batch = each * ranks
    stream = Stream(windows, batch, passes, order, 3)  # type: ignore[arg-type]
    drop = 0 < stream.places % batch < ranks
    steps = stream.places // batch if drop else stream.steps
    start = data.draw(st.integers(1, steps + 1))
    samplers = [
        MixtureSampler(
            windows,
            batch,
            rank,
            ranks,
            start,
            micro_batch=micro_batch,
            drop_last=drop,
            passes=passes,
            order=order,
            seed=3,
        )  # type: ignore[call-overload]
        for rank in range(ranks)
    ]
    for number in range(start, steps + 1):
        together = [place for sampler in samplers for place in sampler.step(number)]
        assert together == stream.batch(number)
    for sampler in samplers:
        lists = list(sampler)
        assert len(lists) == len(sampler)
        assert all(1 <= len(one) <= micro_batch for one in lists)
        own = [place for number in range(start, steps + 1) for place in sampler.step(number)]
        assert list(itertools.chain(*lists)) == own


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"global_batch": 4, "rank": 2, "ranks": 2}, "rank 2 of 2"),
        ({"global_batch": 6, "rank": 0, "ranks": 4}, "global_batch 6: 4 ranks cannot share it evenly"),
        ({"global_batch": 0}, "global_batch 0"),
        ({"global_batch": 4, "start_step": 0}, "start_step 0: the mixture has steps 1 to 4"),
        ({"global_batch": 4, "start_step": 6}, "start_step 6"),
        ({"global_batch": 4, "rank": 1, "ranks": 4}, "the last step has 1 windows for 4 ranks; set drop_last"),
    ],
)
def test_a_batch_that_cannot_be_shared_and_a_step_that_is_not_there_are_refused(
    options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureSampler(COUNT, **options)
