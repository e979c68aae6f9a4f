"""Draws are permutations that never change, and what the ledger says of a place is what stands there."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlab.config.problems import DataError
from mixlab.data.mixtures.ledger import Course, Ledger, encode_ledger
from mixlab.data.mixtures.permutation import build_stream_key, find_windows
from mixlab.data.mixtures.schedule import Draws, Lane, Merger

lengths_lists = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def _find(first: int, last: int, windows: int, key: int) -> list[int]:
    draws = np.arange(first, last)
    found = find_windows(draws, np.full(len(draws), windows), np.full(len(draws), key, np.uint64))
    return [int(window) for window in found]


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1), st.integers(0, 10**9))
def test_every_epoch_is_a_permutation(windows: int, key: int, epoch: int) -> None:
    assert sorted(_find(epoch * windows, (epoch + 1) * windows, windows, key)) == list(range(windows))


def test_a_draw_does_not_depend_on_the_draws_asked_for_with_it() -> None:
    key = build_stream_key(1, "a")
    whole = _find(0, 300, 100, key)
    assert [_find(at, at + 1, 100, key)[0] for at in range(300)] == whole
    assert whole[:100] != whole[100:200]


def test_draws_are_the_same_on_every_machine_and_for_ever() -> None:
    assert build_stream_key(7, "stream") == 18074423335126682131
    assert _find(0, 10, 10, build_stream_key(7, "stream")) == [4, 6, 1, 2, 7, 8, 5, 9, 3, 0]
    assert _find(10**15, 10**15 + 4, 2**40, 5) == [990295096650, 534112923934, 99744701635, 527905486325]


def test_orders_of_different_seeds_and_epochs_have_nothing_in_common() -> None:
    windows = 5000
    orders = [
        np.array(_find(epoch * windows, (epoch + 1) * windows, windows, build_stream_key(seed, "a")))
        for seed, epoch in ((1, 0), (1, 1), (2, 0))
    ]
    for order in orders:
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05
        assert abs(np.corrcoef(order, np.arange(windows))[0, 1]) < 0.05
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (orders[one] == orders[other]).sum() < 10


def _merger(sources: list[list[int]], requested: list[int], scale: int = 1) -> Merger:
    draws = [Draws(len(units), np.array(units), build_stream_key(at, "s")) for at, units in enumerate(sources)]
    lanes = [Lane(at, one, asked * scale, 0) for at, (one, asked) in enumerate(zip(draws, requested, strict=True))]
    return Merger(lanes, 16)


requests = st.lists(st.tuples(lengths_lists, st.integers(1, 10**6)), min_size=1, max_size=8)


@given(requests)
def test_no_source_is_ever_a_window_off(request: list[tuple[list[int], int]]) -> None:
    sources, asked = [units for units, _ in request], [amount for _, amount in request]
    found, windows = _merger(sources, asked).run(200)
    units = np.array([sources[source][window] for source, window in zip(found, windows, strict=True)])
    for at, amount in enumerate(asked):
        off = np.cumsum(np.where(found == at, units, 0)) * sum(asked) - np.cumsum(units) * amount
        assert np.abs(off).max() < max(map(max, sources)) * sum(asked)


@given(requests, st.integers(1, 10**12))
def test_amounts_beyond_64_bits_give_the_order_of_their_ratios(
    request: list[tuple[list[int], int]], scale: int
) -> None:
    sources, asked = [units for units, _ in request], [amount for _, amount in request]
    plain, scaled = _merger(sources, asked).run(60), _merger(sources, asked, scale).run(60)
    np.testing.assert_array_equal(plain, scaled)


@given(requests, st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_runs_one_after_the_other_are_one_run(request: list[tuple[list[int], int]], steps: list[int]) -> None:
    sources, asked = [units for units, _ in request], [amount for _, amount in request]
    whole = np.stack(_merger(sources, asked).run(sum(steps)))
    merger = _merger(sources, asked)
    np.testing.assert_array_equal(np.concatenate([np.stack(merger.run(count)) for count in steps], axis=1), whole)
    assert merger.time == sum(lane.units for lane in merger.lanes)
    assert sum(lane.drawn for lane in merger.lanes) == sum(steps)


def test_a_run_ends_with_the_window_that_reaches_its_units() -> None:
    merger = _merger([[3], [5]], [1, 1])
    sources, _ = merger.run(100, 20)
    assert 20 <= merger.time == sum((3, 5)[source] for source in sources) < 25


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 5000)), min_size=1, max_size=5),
    st.integers(1, 60),
    st.integers(0, 2**32),
)
def test_the_ledger_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, means: list[tuple[int, int]], blocks: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    steps = chance.integers(0, 9, (blocks, len(means)))
    draws = np.cumsum(steps, axis=0)
    units = np.cumsum(steps * chance.integers(1, 9999, steps.shape), axis=0)
    course = Course(blocks * 7, 7, tuple(draws[-1].tolist()), tuple(means))
    states = [(row.tolist(), other.tolist()) for row, other in zip(draws[:-1], units[:-1], strict=True)]
    path = tmp_path_factory.mktemp("ledger") / "ledger.bin"
    path.write_bytes(encode_ledger(course, states) * 2)
    ledger = Ledger(path, [course, course])
    for phase in (0, 1):
        assert ledger.state(phase, 0) == ([0] * len(means), [0] * len(means))
        assert [ledger.state(phase, block) for block in range(1, blocks)] == states


def test_a_ledger_of_another_length_is_refused(tmp_path: Path) -> None:
    course = Course(20, 7, (20,), ((1, 1),))
    (tmp_path / "ledger.bin").write_bytes(encode_ledger(course, [([7], [7]), ([14], [15])]) + b"0")
    with pytest.raises(DataError, match="bytes, expected"):
        Ledger(tmp_path / "ledger.bin", [course])


def test_windows_of_equal_length_fall_at_even_distances() -> None:
    sources, _ = _merger([[4] * 3, [4] * 3], [3, 1]).run(40)
    places = np.flatnonzero(sources == 1)
    assert {later - earlier for earlier, later in pairwise(places.tolist())} <= {3, 4, 5}
