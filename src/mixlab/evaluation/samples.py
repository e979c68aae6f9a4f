"""What several samples of an item say together: pass@k and the vote of the majority.

pass@k is the probability that at least one of k samples is right, estimated without bias from the c right ones of n
samples: 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374, section 2.1). maj@n takes the answer that most
of the n samples give (Wang et al. 2022, arXiv 2203.11171); of a tie, the answer that was given first, in the order of
the samples. A sample without an answer does not vote; an item where none does is wrong and counted as unparsed.

Mathematical answers that are equal are one answer, however they are written: those that score 1 equal the reference and
so one another, the wrong ones are compared (`math_equality`) where they could outvote the right ones.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import comb

from mixlab.config.problems import DataError, Problem
from mixlab.config.scorers import MathAnswerSettings, ScorerSettings
from mixlab.evaluation.scorers.math_equality import EQUAL, MathEquality
from mixlab.evaluation.scorers.score import Score


@dataclass(frozen=True)
class SampleRow:
    """One item under one measure, such as `pass@10` or `maj@8`."""

    item: str
    measure: str
    score: float
    parsed: bool


def estimate_pass(samples: int, right: int, k: int) -> float:
    """Estimate pass@k from `right` of `samples`; raises ValueError unless 1 <= k <= samples."""
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} cannot be estimated from {samples} samples")
    return float(1 - Fraction(comb(samples - right, k), comb(samples, k)))


def vote(scores: Sequence[Score], same: Mapping[str, str] | None = None) -> Score | None:
    """Return the first score of the answer that most samples give, None where no sample gives one.

    `same` names for an answer the one that it counts as; without it answers are compared as texts.
    """
    known = same or {}
    names = [known.get(one.extracted or "", one.extracted) for one in scores if one.parsed]
    if not names:
        return None
    votes = Counter(names)
    # Counter keeps the order in which answers came first, and max the first of equals
    winner = max(votes, key=lambda answer: votes[answer])
    return [one for one in scores if one.parsed][names.index(winner)]


def merge_equal(
    settings: MathAnswerSettings, items: Mapping[str, Sequence[Score]], workers: int
) -> dict[str, dict[str, str]]:
    """Return for each item which of its answers counts as which: as the first that is mathematically equal.

    Wrong answers are compared only where that could decide the vote; `workers` comparisons run at a time.
    """
    wrong = {name: _list_wrong(scores) for name, scores in items.items()}
    pairs = {name: list(combinations(answers, 2)) for name, answers in wrong.items()}
    with MathEquality(workers, settings.seconds) as equality:
        words = iter(equality.compare_all([pair for those in pairs.values() for pair in those]))
        equal = {name: {pair for pair in those if next(words) == EQUAL} for name, those in pairs.items()}
    merged: dict[str, dict[str, str]] = {}
    for name, scores in items.items():
        right = [one.extracted or "" for one in scores if one.score == 1]
        merged[name] = dict.fromkeys(right, right[0]) if right else {}
        firsts: list[str] = []
        for answer in wrong[name]:
            first = next((one for one in firsts if (one, answer) in equal[name]), answer)
            merged[name][answer] = first
            firsts += [answer] if first == answer else []
    return merged


def _list_wrong(scores: Sequence[Score]) -> list[str]:
    """Return the different wrong answers in order; none where the vote is decided without comparing them."""
    right = sum(one.score == 1 for one in scores)
    wrong = Counter(one.extracted or "" for one in scores if one.parsed and one.score != 1)
    is_open = 0 < right <= wrong.total() and max(wrong.values()) <= right
    return list(wrong) if is_open else []


def combine_samples(settings: ScorerSettings, scores: Iterable[Score], workers: int = 1) -> list[SampleRow]:
    """Return a row per item for each measure that `settings` asks for, in the order of the items.

    `workers` bounds how many mathematical answers are compared at a time.

    Raises DataError naming every item with another number of samples than the first.
    """
    majority = getattr(settings, "majority", False)
    if not settings.pass_at and not majority:
        return []
    items: dict[str, list[Score]] = {}
    for one in scores:
        items.setdefault(one.item, []).append(one)
    _check_counts(items, max(settings.pass_at, default=1))
    same: dict[str, dict[str, str]] = {}
    if majority and isinstance(settings, MathAnswerSettings):
        same = merge_equal(settings, items, workers)
    rows = []
    for name, samples in items.items():
        right, parsed = sum(one.score == 1 for one in samples), any(one.parsed for one in samples)
        rows += [SampleRow(name, f"pass@{k}", estimate_pass(len(samples), right, k), parsed) for k in settings.pass_at]
        if majority:
            chosen = vote(samples, same.get(name))
            rows.append(SampleRow(name, f"maj@{len(samples)}", chosen.score if chosen else 0.0, chosen is not None))
    return rows


def mean_of_measures(rows: Iterable[SampleRow]) -> dict[str, float]:
    """Return the mean over items of each measure."""
    by: dict[str, list[float]] = {}
    for row in rows:
        by.setdefault(row.measure, []).append(row.score)
    return {measure: sum(scores) / len(scores) for measure, scores in by.items()}


def _check_counts(items: Mapping[str, Sequence[Score]], least: int) -> None:
    wanted = max(least, *map(len, items.values())) if items else least
    problems = [
        Problem(f"has {len(samples)} samples, where {wanted} are needed: generate it again", key=f"item {name}")
        for name, samples in items.items()
        if len(samples) != wanted
    ]
    if problems:
        raise DataError(problems)
