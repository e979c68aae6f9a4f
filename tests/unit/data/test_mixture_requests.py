"""Of 200 random mixtures over 50 random sources, each is as it was asked for, or told how it could be."""

import json
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mixture_requests import SEQUENCE_TOKENS, make_request, make_sources, to_config

from mixlab.config.mixtures import MixtureSettings
from mixlab.config.problems import DataError
from mixlab.data.mixtures.mixing import build_mixture
from mixlab.data.mixtures.order import MixtureOrder, positions_of
from mixlab.data.mixtures.shares import build_composition
from mixlab.data.packs.pack import Pack

REQUESTS = 200
BLOCK_WINDOWS = 128

Made = tuple[MixtureSettings, list[Path], Path]


class Bench:
    """50 sources, and mixtures made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.declared, self.packs = make_sources(folder / "packs")
        self.tokens = {name: Pack(pack).tokens for name, pack in self.packs.items()}
        self.count = 0

    def make(self, request: dict[str, Any], seed: int) -> Made:
        config = to_config(request)
        names = config.used_names(self.declared)
        settings = config.to_settings(self.declared, seed)
        packs = [self.packs[name] for name in names]
        self.count += 1
        out = self.folder / str(self.count)
        out.mkdir()
        build_mixture(settings, packs, out, names, block_windows=BLOCK_WINDOWS)
        return settings, packs, out


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("requests"))


@pytest.mark.parametrize("first", range(0, REQUESTS, 20))
def test_every_request_is_met_to_one_window_or_told_what_would_be_feasible(bench: Bench, first: int) -> None:
    solved = 0
    for seed in range(first, first + 20):
        request = make_request(seed, bench.declared, bench.tokens)
        try:
            made = bench.make(request, seed)
        except DataError as error:
            check_refusal(bench, request, seed, str(error))
        else:
            check_mixture(*made)
            solved += 1
    assert solved >= 5


def check_refusal(bench: Bench, request: dict[str, Any], seed: int, message: str) -> None:
    """A refused request is infeasible indeed, and each change that the message names makes it feasible."""
    if "no joint has the asked shares" in message:
        assert is_beyond_raking(bench, request), message
        return
    if "leaves no window" in message:
        assert request["budget"].keys() & {"windows", "steps", "tokens", "epochs"}
        return
    found = re.search(r"to make all of it feasible, (?:lower the budget to (.+?), or )?set max_epochs: (\S+)$", message)
    assert found is not None, message
    check_mixture(*bench.make(request | {"max_epochs": found[2]}, seed))
    if found[1] is None:
        check_no_budget_fits(bench, request, seed)
    else:
        amount, _, unit = found[1].replace(",", "").rpartition(" ")
        budget = {"epochs": unit} if amount == "epochs:" else {unit: amount}
        check_mixture(*bench.make(request | {"budget": budget}, seed))


def check_no_budget_fits(bench: Bench, request: dict[str, Any], seed: int) -> None:
    """No smaller budget is made: halves of halves down to nothing, and every small one."""
    ((unit, amount), *more) = request["budget"].items()
    whole = Fraction(str(amount)) * (more[0][1] if more else 1)
    unit = "windows" if more else unit
    tried = [whole / (1 << halving) for halving in range(1, 12)] + [Fraction(few) for few in range(1, 9)]
    for budget in tried:
        if unit != "epochs" and budget < 1:
            continue
        amount = str(budget) if unit == "epochs" else str(int(budget))
        with pytest.raises(DataError):
            bench.make(request | {"budget": {unit: amount}}, seed)


def is_beyond_raking(bench: Bench, request: dict[str, Any]) -> bool:
    """Whether some categories are asked for more than all languages with data in them, in the mixture or a phase."""
    config = to_config(request)
    settings = config.to_settings(bench.declared, 0)
    there = {source.cell for source in settings.sources if source.kind == "instruction"}
    for _, _, axes in settings.stretches():
        if not isinstance(axes.language, dict) or not isinstance(axes.category, dict):
            continue
        for size in range(1, len(axes.category) + 1):
            for chosen in combinations(axes.category, size):
                reach = {one for one in axes.language if any(f"{one}/{category}" in there for category in chosen)}
                if sum(axes.category[one] for one in chosen) > sum(axes.language[one] for one in reach):
                    return True
    return False


def check_mixture(settings: MixtureSettings, packs: list[Path], out: Path) -> None:
    """Shares, uses of windows and independence of ranks and restarts of one mixture."""
    opened = [Pack(pack) for pack in packs]
    order = MixtureOrder(out, opened)
    sources, windows = order.slice(0, len(order))
    plan = json.loads((out / "plan.json").read_text())
    tokens = np.array([opened[source].tokens_W[window] for source, window in zip(sources, windows, strict=True)])
    begin = 0
    for (_, _, axes), phase in zip(settings.stretches(), plan["phases"], strict=True):
        end = begin + phase["windows"]
        shares = build_composition(settings, [pack.tokens for pack in opened], axes).sources
        check_shares(sources[begin:end], tokens[begin:end], phase["requested"], shares)
        begin = end
    assert begin == len(order) == len(sources)
    check_budget(settings, opened, int(tokens.sum()), len(order))
    check_uses(sources, windows, opened, settings.max_epochs)
    check_restarts(lambda: MixtureOrder(out, opened), sources, windows)


def check_shares(sources: np.ndarray, tokens: np.ndarray, requested: list[int], shares: tuple[Fraction, ...]) -> None:
    """At every prefix each source has its share of the real tokens to less than one window."""
    total = sum(requested)
    for ratio, units in zip(shares, requested, strict=True):
        assert abs(units - ratio * total) < 1
    sums = np.cumsum(np.where(sources[:, None] == np.arange(len(requested)), tokens[:, None], 0), axis=0)
    # whole numbers, so that less means less
    off = sums * total - np.cumsum(tokens)[:, None] * np.array(requested)
    assert not len(off) or np.abs(off).max() < SEQUENCE_TOKENS * total


def check_budget(settings: MixtureSettings, packs: list[Pack], tokens: int, windows: int) -> None:
    budget = settings.budget
    if budget.windows is not None:
        assert windows == budget.windows
        return
    used = sum(pack.tokens for pack in packs)
    asked = budget.tokens if budget.tokens is not None else int(budget.epochs * used)
    assert asked <= tokens < asked + SEQUENCE_TOKENS


def check_uses(sources: np.ndarray, windows: np.ndarray, packs: list[Pack], max_epochs: Fraction) -> None:
    """Every window of a source is used floor or ceil of the source's draws by its windows, within max_epochs."""
    for at, pack in enumerate(packs):
        uses = np.bincount(windows[sources == at], minlength=pack.windows)
        assert len(uses) == pack.windows
        assert uses.max() - uses.min() <= 1
        assert uses.max() <= -(-max_epochs // 1)
        before_last = pack.tokens_W[windows[sources == at][:-1]].sum()
        assert not uses.any() or before_last < pack.tokens * max_epochs


def check_restarts(reopen: Callable[[], MixtureOrder], sources: np.ndarray, windows: np.ndarray) -> None:
    """Any number of ranks, begun at any step, sees the places that one rank sees from the beginning."""
    global_batch, stop = 16, len(sources)
    steps = -(-stop // global_batch)
    for ranks, start in ((1, 1), (2, steps // 2 + 1), (4, steps), (8, max(1, steps // 3))):
        order = reopen()
        for step in range(start, min(steps, start + 3) + 1):
            places = [positions_of(step, global_batch, rank, ranks, stop) for rank in range(ranks)]
            parts = [order.slice(one.start, one.stop) for one in places]
            expected = slice((step - 1) * global_batch, step * global_batch)
            np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), sources[expected])
            np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), windows[expected])
