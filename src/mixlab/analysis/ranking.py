"""Ranking with uncertainty: which points of a study cannot be told from the best.

Points of one base model at one stage are compared each with each by the primary test, and the p-values corrected by
Holm over all pairs, so that having picked the best from the data costs nothing that is not paid for. A point is told
from the best when its corrected p-value is below 5 %. With few seeds few are: that is what the data say. Where none is,
nothing is called best: one point has the highest mean, and the row says from how many it is not told.

Means are over all seeds that a point has, a test over those that both have. Where a seed was lost the test may see a
difference the other way round: then it tells nothing from the best, and the row says so.

Equal means, but for rounding, have equal ranks, and the next rank counts all before it: 1, 1, 3 (standard competition
ranking). Where several share the highest mean a further point is told from the best when it is told from each of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from mixlab.analysis.cells import Cell, GroupEstimate, group_cells, write_csv
from mixlab.analysis.claim_levels import CLAIM_LEVELS, ClaimLevel, build_sample
from mixlab.analysis.comparison_tests import DifferenceTest, test_seeds
from mixlab.analysis.same_items import describe_left_out
from mixlab.analysis.statistics import ROUNDING, is_contrary
from mixlab.analysis.study_tests import trim
from mixlab.analysis.summary_tests import adjust
from mixlab.config.analysis import Selection

FILE = "ranking.csv"
HEADER = (
    *("base_model_key", "stage", "measure", "benchmarks", "level", "rank", "variant_key", "mean", "n"),
    *("behind_best", "p_holm", "pairs", "standing", "note"),
)
BEST, LEVEL_WITH_BEST, BEHIND, OPEN = "best", "not told from the best", "behind the best", "not estimable"
HIGHEST, SHARED = "highest mean", "shares the highest mean"
AHEAD = "ahead of the best over the seeds that both have"
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Ranked:
    """One point in a ranking: rank 1 has the highest mean, a rank of None no mean that can be compared.

    `p_holm`: of its difference from the best, over all `pairs` pairs of the ranking; of several that share the highest
    mean the largest, none where one is not estimable. `standing`: best (of those it is told from), highest mean, shares
    the highest mean, not told from the best, behind the best, not estimable.
    """

    base_model_key: str
    stage: str
    measure: str
    benchmarks: tuple[str, ...]
    level: ClaimLevel
    rank: int | None
    variant_key: str
    mean: float | None
    n: int
    behind_best: float | None
    p_holm: float | None
    pairs: int
    standing: str
    note: str = ""


@dataclass(frozen=True)
class _Pair:
    """The test of two points with its corrected p; `is_contrary`: the one with the lower mean is ahead in it."""

    test: DifferenceTest
    p: float | None
    is_contrary: bool

    @property
    def standing(self) -> str:
        """The standing of the one with the lower mean, were the other one the best."""
        if self.p is None:
            return OPEN
        return BEHIND if self.p < SIGNIFICANT and not self.is_contrary else LEVEL_WITH_BEST


@dataclass(frozen=True)
class _Contest:
    """What one ranking is of: the points' estimates by key; those with a gap are not among them."""

    base_model_key: str
    stage: str
    measure: str
    benchmarks: tuple[str, ...]
    points: Mapping[str, GroupEstimate]
    gaps: Mapping[str, str]


def build_rankings(cells: Sequence[Cell], base_models: Mapping[str, str]) -> list[Ranked]:
    """Rank the points of each base model and stage on each benchmark and on all of one measure, at both claim levels.

    `base_models`: key of the base model by variant key. Judge scores by several judges are ranked apart by benchmark.
    """
    fields: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        fields.setdefault((base_models[cell.variant_key], cell.stage, cell.measure), []).append(cell)
    found = []
    for (base, stage, measure), members in sorted(fields.items()):
        names = sorted({cell.benchmark for cell in members})
        judges = {cell.judge for cell in members}
        together = [tuple(names)] if len(names) > 1 and len(judges) == 1 else []
        for chosen in [(name,) for name in names] + together:
            contest = _build_contest((base, stage, measure), chosen, members)
            if len(contest.points) + len(contest.gaps) > 1:
                found += [ranked for level in CLAIM_LEVELS for ranked in _rank(contest, level)]
    return found


def write_rankings(rankings: Iterable[Ranked], out: Path) -> None:
    """Write `ranking.csv`, best first within each ranking; a study with nothing to rank has none."""
    rows = [
        [" ".join(one.benchmarks) if name == "benchmarks" else trim(getattr(one, name)) for name in HEADER]
        for one in rankings
    ]
    if rows:
        write_csv(out / FILE, HEADER, rows)


def _build_contest(place: tuple[str, str, str], chosen: tuple[str, ...], members: Iterable[Cell]) -> _Contest:
    selection = Selection(measure=place[2], benchmarks=chosen)
    points: dict[str, GroupEstimate] = {}
    gaps: dict[str, str] = {}
    by_point: dict[str, list[Cell]] = {}
    for cell in members:
        by_point.setdefault(cell.variant_key, []).append(cell)
    for key, own in by_point.items():
        found = group_cells(own, selection)
        if found is None or found.benchmarks != chosen:
            gaps[key] = f"missing: ran {len(found.benchmarks) if found else 0} of {len(chosen)} benchmarks"
        elif found.estimate.mean is None:
            gaps[key] = "missing: no scores"
        else:
            points[key] = found
    return _Contest(*place, chosen, points, gaps)


def _rank(contest: _Contest, level: ClaimLevel) -> list[Ranked]:
    samples = {key: build_sample(point.replicates, level) for key, point in contest.points.items()}
    pairs = list(combinations(sorted(samples), 2))
    tests = [test_seeds(samples[a], samples[b], level, is_alone=True)[0] for a, b in pairs]
    corrected = adjust([one.p for one in tests], "holm")
    means = {key: _mean(point) for key, point in contest.points.items()}
    found = {
        frozenset((a, b)): _Pair(test, p, is_contrary(test.difference, means[a] - means[b]))
        for (a, b), test, p in zip(pairs, tests, corrected, strict=True)
    }
    tested = sum(p is not None for p in corrected)
    order = sorted(means, key=lambda key: (-means[key], key))
    ranks = _number([means[key] for key in order])
    first = order[: ranks.count(1)]
    rows = []
    for rank, key in zip(ranks, order, strict=True):
        near = None if rank == 1 else _find_nearest([found[frozenset((one, key))] for one in first])
        point = contest.points[key]
        if near is not None:
            standing, notes = near.standing, [near.test.note, AHEAD if near.is_contrary else ""]
        else:
            others = [found[frozenset((key, one))] for one in order if one != key]
            standing, notes = SHARED if len(first) > 1 else _name_first(others), []
        rows.append(
            Ranked(
                *(contest.base_model_key, contest.stage, contest.measure, contest.benchmarks, level),
                rank=rank,
                variant_key=key,
                mean=means[key],
                n=samples[key].count,
                behind_best=0.0 if rank == 1 else means[order[0]] - means[key],
                p_holm=None if near is None else near.p,
                pairs=tested,
                standing=standing,
                note="; ".join(filter(None, [*notes, _describe_lost(point)])),
            )
        )
    for key, note in sorted(contest.gaps.items()):
        place = (contest.base_model_key, contest.stage, contest.measure, contest.benchmarks, level)
        rows.append(Ranked(*place, None, key, None, 0, None, None, tested, OPEN, note))
    return rows


def _number(means: Sequence[float]) -> list[int]:
    """Return the ranks of means, highest first; means that differ by rounding alone have that of the first of them."""
    ranks: list[int] = []
    for place, mean in enumerate(means):
        is_tied = place > 0 and means[ranks[-1] - 1] - mean <= ROUNDING
        ranks.append(ranks[-1] if is_tied else place + 1)
    return ranks


def _find_nearest(tests: Sequence[_Pair]) -> _Pair:
    """Return the test that tells least: one that is not estimable, one the other way round, that with the largest p."""
    return max(tests, key=lambda one: (one.p is None, one.is_contrary, one.p or 0.0))


def _name_first(others: Sequence[_Pair]) -> str:
    """Name the standing of the highest mean by the tests of its differences from all others."""
    standings = [one.standing for one in others]
    near = standings.count(LEVEL_WITH_BEST)
    if BEHIND in standings:
        return BEST
    return f"{HIGHEST}, not told from {near}" if near else f"{HIGHEST}, {OPEN}"


def _describe_lost(point: GroupEstimate) -> str:
    lost = f"{point.incomplete} models lack a benchmark or its scores and are left out" if point.incomplete else ""
    return "; ".join(filter(None, [describe_left_out(point.n_asked, point.estimate.n_items), lost]))


def _mean(point: GroupEstimate) -> float:
    mean = point.estimate.mean
    if mean is None:
        raise ValueError("a point without a mean is not ranked")
    return mean
