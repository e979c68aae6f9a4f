"""From packs to a mixture: which windows, in which order, and the certificate of what was taken."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from mixlab.config.mixtures import MixtureSettings, render_number
from mixlab.config.problems import DataError, Problem
from mixlab.data.certificate import Taken, build_certificate
from mixlab.data.shares import allocate, build_composition
from mixlab.data.writing import read_json, write_json

_DRAW, _ORDER = 0, 1
"""First element of the spawn key of a random stream: drawing windows, interleaving them."""


@dataclass(frozen=True)
class _Pack:
    """What mixing needs of one pack.

    `units_W` is the measure of the budget, tokens or 1 per window. `stream` names the pack's random stream by what
    it holds: neither its position nor the other sources of a mixture change which windows are drawn first.
    """

    tokens_W: np.ndarray
    units_W: np.ndarray
    stream: int

    @property
    def population(self) -> int:
        return int(self.units_W.sum())


def build_mixture(
    settings: MixtureSettings, packs: Sequence[Path], out: Path, names: Sequence[str] | None = None
) -> None:
    """Write `windows.npy` int64 [N, 2] (source, window) in training order, and `certificate.json`.

    `packs` stand in the order of `settings.sources`; `names` appear in messages only. Raises DataError naming
    every source that would have to be repeated more than `max_epochs` times.
    """
    if len(packs) != len(settings.sources):
        raise DataError(f"{len(packs)} packs for {len(settings.sources)} sources")
    opened = _open_packs(settings, packs)
    population = [pack.population for pack in opened]
    composition = build_composition(settings, population)
    budget = _budget(settings, composition.sources, population)
    requested = allocate(budget, composition.sources)
    _check_repetition(settings, requested, population, names or [str(at) for at in range(len(packs))])
    drawn = [
        draw_windows(pack.units_W, wanted, settings.max_epochs, settings.seed, pack.stream)
        for pack, wanted in zip(opened, requested, strict=True)
    ]
    if not any(len(windows) for windows in drawn):
        raise DataError(f"a budget of {budget} takes no window; raise it")
    np.save(out / "windows.npy", interleave(drawn, settings.seed, [pack.stream for pack in opened]), allow_pickle=False)
    taken = [
        Taken(
            population=population[at],
            population_tokens=int(pack.tokens_W.sum()),
            requested=requested[at],
            allocated=int(pack.units_W[windows].sum()),
            allocated_tokens=int(pack.tokens_W[windows].sum()),
            windows=len(windows),
        )
        for at, (pack, windows) in enumerate(zip(opened, drawn, strict=True))
    ]
    write_json(out / "certificate.json", build_certificate(settings, composition, taken, budget))


def _open_packs(settings: MixtureSettings, packs: Sequence[Path]) -> list[_Pack]:
    opened = []
    lengths = {}
    for pack, source in zip(packs, settings.sources, strict=True):
        index = read_json(pack / "index.json")
        lengths[pack] = index["sequence_tokens"]
        by_samples = settings.budget.samples is not None
        if by_samples and index["layout"] != "one_per_window":
            raise DataError(f"{pack}: a budget in samples needs packs of layout one_per_window")
        tokens_W = np.load(pack / "window_tokens.npy", mmap_mode="r")
        units_W = np.ones(len(tokens_W), dtype=np.int64) if by_samples else tokens_W
        label = source.cell if source.kind == "instruction" else source.language
        digest = hashlib.sha256(label.encode() + np.ascontiguousarray(tokens_W).tobytes()).digest()
        opened.append(_Pack(tokens_W, units_W, int.from_bytes(digest[:8], "little")))
    if len(set(lengths.values())) > 1:
        raise DataError(f"packs of different sequence_tokens: {sorted(set(lengths.values()))}; use one length")
    return opened


def _budget(settings: MixtureSettings, ratios: Sequence[Fraction], population: Sequence[int]) -> int:
    budget = settings.budget
    if budget.epochs is not None:
        there = sum(count for count, ratio in zip(population, ratios, strict=True) if ratio)
        return int(budget.epochs * there)
    return budget.tokens or budget.samples or 0


def _check_repetition(
    settings: MixtureSettings, requested: Sequence[int], population: Sequence[int], names: Sequence[str]
) -> None:
    unit = "tokens" if settings.budget.samples is None else "samples"
    problems = []
    for name, source, needs, has in zip(names, settings.sources, requested, population, strict=True):
        if needs > has * settings.max_epochs:
            least = Fraction(-(-needs * 100 // has), 100) if has else None
            cure = f"or set max_epochs >= {render_number(least)}" if least is not None else "it is empty"
            label = source.cell if source.kind == "instruction" else f"{source.language} raw"
            problems.append(
                Problem(
                    f"source {name!r} ({label}): needs {needs:,} {unit}, has {has:,} "
                    f"(max_epochs {render_number(settings.max_epochs)}); lower the budget or its share, {cure}"
                )
            )
    if problems:
        raise DataError(problems)


def _generator(seed: int, stream: int, *place: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream], spawn_key=place)))


def draw_windows(units_W: np.ndarray, wanted: int, max_epochs: Fraction, seed: int, stream: int) -> np.ndarray:
    """Draw windows of one source until `wanted` units are met as nearly as windows allow.

    Every epoch is a permutation of its own; a larger `wanted` continues the same sequence. Depends on `seed` and
    the source's own `stream`, on nothing of other sources.
    """
    there = int(units_W.sum())
    if not wanted or not there:
        return np.empty(0, dtype=np.int64)
    epochs, rest = divmod(wanted, there)
    drawn = [_permutation(seed, stream, epoch, len(units_W)) for epoch in range(epochs)]
    if rest:
        last = _permutation(seed, stream, epochs, len(units_W))
        sums = np.cumsum(units_W[last])
        count = int(np.searchsorted(sums, rest))
        before = int(sums[count - 1]) if count else 0
        within = epochs * there + int(sums[count]) <= there * max_epochs
        if within and int(sums[count]) - rest < rest - before:
            count += 1
        drawn.append(last[:count])
    return np.concatenate(drawn)


def _permutation(seed: int, stream: int, epoch: int, windows: int) -> np.ndarray:
    return _generator(seed, stream, _DRAW, epoch).permutation(windows)


def interleave(drawn: Sequence[np.ndarray], seed: int, streams: Sequence[int]) -> np.ndarray:
    """Merge the sources' windows into one order, int64 [N, 2], each source spread evenly over the whole.

    Window j of n of a source lands at a random place of [j/n, (j+1)/n): the order within a source is kept, and
    any long stretch of the mixture has about the shares of the whole.
    """
    places = [
        (np.arange(len(windows)) + _generator(seed, stream, _ORDER).random(len(windows))) / max(len(windows), 1)
        for windows, stream in zip(drawn, streams, strict=True)
    ]
    sources = np.repeat(np.arange(len(drawn)), [len(windows) for windows in drawn])
    order = np.argsort(np.concatenate(places), kind="stable")
    return np.stack([sources, np.concatenate(drawn)], axis=1)[order].astype("<i8")
