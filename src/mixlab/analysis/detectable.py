"""What a design can find before it runs: power, the minimum detectable effect, and what would help.

A pure function of assumed standard deviations and of counts. Power is that of the primary test, from the noncentral t
distribution; the variance of a unit's mean follows from what is averaged within it:

    ipt + (sft + generation / G + judge / (G J) + answer / (G J n)) / (r S)

with r IPT runs in a unit, S SFT seeds, G generation seeds, J judge runs and n items; what an IPT run, an SFT seed or a
set of answers does to single items is divided as that level is, and by n. With several IPT runs on each of several
mixture seeds, ipt is not divided by r: it holds what mixture seeds vary by too, of which further runs on one of them
take nothing away. What items differ by cancels, since both points answer the same ones. Noise of seeds and judgings is
taken to move all benchmarks of a group alike, which is the worst it can do; the noise of answers is not.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from mixlab.analysis.claim_levels import ClaimLevel
from mixlab.analysis.comparison_tests import PAIRED, POOLED, WELCH
from mixlab.analysis.simulated_levels import find_level

_NODES, _TAIL = 200, 1e-13
MOST = 200
"""So many seeds, judgings or times the items are tried before a cure counts as none."""


@dataclass(frozen=True)
class NoiseLevels:
    """Standard deviations on the measure's own scale; those that end in `_item` are of a level's product with the item.

    `ipt_seed` None: not known, so nothing is said of recipes; `sft_seed` None: not known apart from IPT's, so nothing
    is said of these models.
    """

    ipt_seed: float | None
    sft_seed: float | None
    generation_seed: float = 0.0
    judge_run: float = 0.0
    answer: float = 0.0
    ipt_seed_item: float = 0.0
    sft_seed_item: float = 0.0
    generation_seed_item: float = 0.0


@dataclass(frozen=True)
class Design:
    """Repeats of each point; `items` of each benchmark of the group, `tuned`: whether SFT comes before the scores."""

    mixture_seeds: int
    ipt_seeds: int
    sft_seeds: int
    generation_seeds: int
    judge_runs: int
    items: tuple[int, ...]
    tuned: bool = True


@dataclass(frozen=True)
class Plan:
    """The t test of a design: its name, degrees of freedom, and the standard error of a difference."""

    test: str
    df: int
    error: float


def plan_test(noise: NoiseLevels, design: Design, level: ClaimLevel) -> Plan | str:
    """Return the primary test of the design at a claim level, or why there is none."""
    runs = design.mixture_seeds * design.ipt_seeds
    tuned = design.sft_seeds if design.tuned else 1
    answers = design.generation_seeds * design.judge_runs
    by_item = sum(1 / items for items in design.items) / len(design.items) ** 2
    within = (noise.generation_seed**2 + noise.generation_seed_item**2 * by_item) / design.generation_seeds
    within += (noise.judge_run**2 + noise.answer**2 * by_item) / answers
    tuning = (noise.sft_seed or 0.0) ** 2 + noise.sft_seed_item**2 * by_item if design.tuned else 0.0
    if level == "these models":
        if tuned < 2:
            return "no SFT seeds vary" if not design.tuned else "one SFT seed"
        if noise.sft_seed is None:
            return "the noise of SFT is not known"
        return Plan(PAIRED, runs * (tuned - 1), float(np.sqrt(2 * (tuning + within) / (runs * tuned))))
    if runs < 2:
        return "one IPT seed"
    if noise.ipt_seed is None:
        return "the noise of IPT is not known"
    units = design.mixture_seeds if design.mixture_seeds > 1 else design.ipt_seeds
    training = noise.ipt_seed**2 + noise.ipt_seed_item**2 * by_item
    variance = training + (tuning + within) / (runs / units * tuned)
    simulated = find_level(WELCH, units)
    test = WELCH if simulated is not None and simulated.decides else POOLED
    return Plan(test, 2 * (units - 1), float(np.sqrt(2 * variance / units)))


def find_power(effect: float, plan: Plan, alpha: float = 0.05) -> float:
    """Return the chance that a true difference of this size is found, two-sided at `alpha`.

    The noncentral t distribution as the mean over what the seeds' deviation may come out as, by Gauss's quadrature:
    scipy's own function has no value for some numbers with one degree of freedom.
    """
    if plan.error == 0:
        return 1.0 if effect else 0.0
    bound, shift, df = special.stdtrit(plan.df, 1 - alpha / 2), abs(effect) / plan.error, plan.df
    low, high = (np.sqrt(special.chdtri(df, tail) / df) for tail in (1 - _TAIL, _TAIL))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    deviation = low + (high - low) * (nodes + 1) / 2
    logarithm = np.log(2) + df / 2 * np.log(df / 2) - special.gammaln(df / 2)
    density = np.exp(logarithm + (df - 1) * np.log(deviation) - df / 2 * deviation**2)
    found = special.ndtr(shift - bound * deviation) + special.ndtr(-shift - bound * deviation)
    return float((weights * density * found).sum() * (high - low) / 2)


def find_detectable(plan: Plan, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest true difference that is found with the chance `power`, which is above `alpha`."""
    if plan.error == 0:
        return 0.0
    highest = plan.error
    while find_power(highest, plan, alpha) < power:
        highest *= 2
    return float(optimize.brentq(lambda effect: find_power(effect, plan, alpha) - power, 0.0, highest))


def find_cures(
    effect: float, noise: NoiseLevels, design: Design, level: ClaimLevel, power: float = 0.8, alpha: float = 0.05
) -> dict[str, int | None]:
    """Return how many of each repeat would find `effect`, all else as it is; None: no number up to MOST times would.

    Keys: ipt_seed, sft_seed, judge_run (absent where nothing is judged: `judge_runs` 0), items (times as many).
    """
    changes: dict[str, Callable[[int], Design]] = {
        "ipt_seed": lambda count: replace(design, ipt_seeds=count),
        "sft_seed": lambda count: replace(design, sft_seeds=count),
        "judge_run": lambda count: replace(design, judge_runs=count),
        "items": lambda count: replace(design, items=tuple(count * items for items in design.items)),
    }
    if not design.tuned:
        del changes["sft_seed"]
    return {name: _search(effect, noise, change, level, power, alpha) for name, change in changes.items()}


def _search(
    effect: float, noise: NoiseLevels, change: Callable[[int], Design], level: ClaimLevel, power: float, alpha: float
) -> int | None:
    def suffices(count: int) -> bool:
        plan = plan_test(noise, change(count), level)
        return not isinstance(plan, str) and find_power(effect, plan, alpha) >= power

    if not suffices(MOST):
        return None
    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
