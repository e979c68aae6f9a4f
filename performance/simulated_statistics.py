"""What the tests of the analysis keep of what they promise, on nested data with a known truth.

    python performance/simulated_statistics.py [--simulations 20000] [--write]

Prints, each with its Monte-Carlo error: the share of false alarms of every test in the designs of a study, with the
naive t test of all judgings beside it; power by formula and by simulation; Holm's family-wise error; coverage of the
95 % intervals. Leaves with 1 where a promise is broken. `--write` writes the levels by number of seeds into the
package, from which each test's role is read. The seed is fixed. (Not `statistics.py`: programs here import the standard
module of that name.)
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from nested_data import Floats, Shape, Truth, simulate
from nested_tests import ALPHA, find_mixed_p, reject, reject_beside, to_units

from mixlab.analysis import seed_tests
from mixlab.analysis.cell_intervals import write_variance
from mixlab.analysis.detectable import Design, NoiseLevels, find_detectable, find_power, plan_test
from mixlab.analysis.mixed_model import fit_mixed_model
from mixlab.analysis.noise import measure_noise
from mixlab.analysis.simulated_levels import HIGHEST, LOWEST, find_level
from mixlab.analysis.summary_tests import adjust

SEED = 20261122
TABLE = Path(__file__).resolve().parent.parent / "src/mixlab/analysis/simulated_levels.yaml"
UNITS = (2, 3, 4, 5, 6, 8, 10, 15, 20)
IPT = Truth(ipt=0.2)
DESIGNS = (
    ("3 x 3, no noise of IPT", Truth(), Shape(1, 3, 3), "these models"),
    ("5 x 1, no noise of IPT", Truth(), Shape(1, 5, 1), "these models"),
    ("2 IPT seeds x 3 x 3", IPT, Shape(2, 3, 3), "this recipe"),
    ("3 IPT seeds x 3 x 3", IPT, Shape(3, 3, 3), "this recipe"),
    ("2 IPT seeds x 3 x 3, as they are", Truth(), Shape(2, 3, 3), "these models"),
)
STRESSES = (
    ("3 x 3, SFT seeds share half", Truth(shared=0.5), Shape(1, 3, 3), "these models"),
    ("3 x 3, one side varies twice as much", Truth(ratio=2.0), Shape(1, 3, 3), "these models"),
    ("3 IPT seeds, one side varies twice as much", Truth(ipt=0.2, ratio=2.0), Shape(3, 3, 3), "this recipe"),
    ("1 IPT seed with its noise, taken for a recipe", IPT, Shape(1, 3, 3), "these models"),
)


def choose(level: str, units: int) -> str:
    """Name the primary test of a balanced design whose SFT seeds match, as `comparison_tests.choose_primary` does."""
    if level == "these models":
        return "paired_t"
    welch = find_level("welch_t", units)
    return "welch_t" if welch is not None and welch.decides else "pooled_t"


def error(share: float, count: int) -> float:
    """Monte-Carlo standard error of a share."""
    return math.sqrt(share * (1 - share) / count)


def show(share: float, count: int) -> str:
    return f"{share * 100:5.2f} ± {error(share, count) * 100:.2f}"


def measure_levels(simulations: int) -> dict[str, dict[int, tuple[float, float]]]:
    """Return test -> units -> (share rejected without an effect, error): n SFT seeds x 3 judgings x 30 items."""
    levels: dict[str, dict[int, tuple[float, float]]] = {}
    for units in UNITS:
        generator = np.random.default_rng([SEED, units])
        counts: dict[str, int] = {}
        for a, b in simulate(generator, Truth(), Shape(1, units, 3), simulations):
            found = reject(a, b, "these models") | reject_beside(a, b, "these models")
            for name, rejected in found.items():
                counts[name] = counts.get(name, 0) + int(rejected.sum())
        for name, count in counts.items():
            share = count / simulations
            levels.setdefault(name, {})[units] = (round(share, 4), round(error(share, simulations), 4))
    return levels


def write_levels(levels: dict[str, dict[int, tuple[float, float]]], simulations: int) -> None:
    lines = [
        "# Written by performance/simulated_statistics.py --write: share of simulations without an effect that a test",
        "# rejects at 5 %, and its Monte-Carlo error, by units (seeds) a side. 3 judge runs, 30 items.",
        f"simulations: {simulations}",
        f"seed: {SEED}",
        "levels:",
    ]
    for name, rows in sorted(levels.items()):
        lines.append(f"  {name}:")
        lines += [f"    {units}: [{share}, {wrong}]" for units, (share, wrong) in sorted(rows.items())]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_designs(simulations: int) -> list[str]:
    """Print false alarms by design; return what is broken."""
    broken = []
    names = ("paired_t", "welch_t", "pooled_t", "kodama_oda_t")
    print(f"\nFalse alarms, %, of {simulations} simulations without an effect (* the test that decides)")
    print(f"{'design':46}" + "".join(f"{name:>20}" for name in names))
    for place, (title, truth, shape, level) in enumerate((*DESIGNS, *STRESSES)):
        generator = np.random.default_rng([SEED, 100 + place])
        counts = dict.fromkeys(names, 0)
        for a, b in simulate(generator, truth, shape, simulations):
            for name, rejected in reject(a, b, level).items():
                counts[name] += int(rejected.sum())
        units = shape.seeds if level == "these models" else shape.runs
        primary = choose(level, units)
        shares = {name: count / simulations for name, count in counts.items()}
        cells = [f"{show(shares[name], simulations)}{'*' if name == primary else ' '}" for name in names]
        print(f"{title:46}" + "".join(f"{cell:>20}" for cell in cells))
        if place < len(DESIGNS) and not LOWEST <= shares[primary] <= HIGHEST:
            broken.append(f"{title}: {primary} rejects {shares[primary]:.2%}")
    return broken


def show_noise(truth: Truth, generator: np.random.Generator, pilots: int = 250) -> NoiseLevels:
    """Return what replicates show of a truth, by the way of a study: components, `variance.csv`, `measure_noise`.

    So many pilots of 8 IPT x 4 SFT seeds x 3 judge runs x 30 items, each a benchmark of one table, that their mean is
    near the truth: what is checked is the formula, not the luck of one pilot.
    """
    shape = Shape(8, 4, 3, 30)
    names = ("benchmark", "ipt_seed", "sft_seed", "judge_run", "item")
    scores = np.concatenate([a for a, _ in simulate(generator, truth, shape, pilots)])
    index = pd.MultiIndex.from_product([range(size) for size in scores.shape], names=names)
    frame = pd.DataFrame({"score": scores.ravel()}, index=index).reset_index()
    frame = frame.assign(variant_key="v", stage="after_sft", measure="judge_score", mixture_seed=1, generation_seed=1)
    with tempfile.TemporaryDirectory() as folder:
        write_variance(frame, Path(folder))
        found = measure_noise(Path(folder), "after_sft")["judge_score"]
    return NoiseLevels(**{name: one.estimate for name, one in found.items()})


def print_power(simulations: int) -> list[str]:
    """Print power by formula and by simulation; return what is more than 3 points off."""
    broken = []
    print("\nPower, %, by formula and by simulation, at a third, all and 1.5 of the detectable effect")
    for place, (title, truth, shape, level) in enumerate(DESIGNS):
        noise = show_noise(truth, np.random.default_rng([SEED, 250 + place]))
        design = Design(1, shape.runs, shape.seeds, 1, shape.judgings, (shape.items,))
        plan = plan_test(noise, design, level)
        if isinstance(plan, str):
            raise SystemExit(f"{title}: no test ({plan})")
        detectable = find_detectable(plan)
        cells = []
        for step, effect in enumerate((detectable / 3, detectable, detectable * 1.5)):
            generator = np.random.default_rng([SEED, 200 + place, step])
            hits = 0
            for a, b in simulate(generator, truth, shape, simulations, effect):
                hits += int(reject(a, b, level)[plan.test].sum())
            expected, got = find_power(effect, plan), hits / simulations
            cells.append(f"{expected * 100:5.1f} / {show(got, simulations)}")
            if abs(expected - got) > 0.03:
                broken.append(f"{title}: power {expected:.1%} by formula, {got:.1%} simulated")
        print(f"{title:36} {plan.test:10} detectable {detectable:6.3f}   " + "   ".join(cells))
    return broken


def print_holm(simulations: int, others: int = 12, seeds: int = 3) -> list[str]:
    """Print how often any false claim survives Holm: 12 mixtures against one baseline that they share."""
    broken = []
    print(f"\nFamily-wise error, %: {others} mixtures against one baseline, {seeds} seeds, primary test")
    for title, better in (("none differs", 0), ("half are better", others // 2)):
        generator = np.random.default_rng([SEED, 300, better])
        means = generator.standard_normal((simulations, others + 1, seeds))
        means[:, 1 : better + 1] += 5.0
        p = seed_tests.test_paired(means[:, 1:, None, :], means[:, :1, None, :]).p
        corrected = np.array([adjust(list(row), "holm") for row in p], dtype=float)
        shares = [float((one[:, better:] < ALPHA).any(axis=1).mean()) for one in (p, corrected)]
        print(f"{title:20} uncorrected {show(shares[0], simulations)}   Holm {show(shares[1], simulations)}")
        if shares[1] > 0.05 + 2 * error(0.05, simulations):
            broken.append(f"Holm, {title}: {shares[1]:.2%}")
    return broken


def print_coverage(simulations: int) -> list[str]:
    """Print how often the 95 % intervals of a mean and of a difference hold the truth."""
    broken = []
    print("\nCoverage of 95 % intervals, %: of one mean over seeds, of the difference by the primary test")
    for place, (title, truth, shape, level) in enumerate(DESIGNS):
        generator = np.random.default_rng([SEED, 400 + place])
        fixed = Truth(**{**vars(truth), "item": 0.0})
        primary = choose(level, shape.seeds if level == "these models" else shape.runs)
        test = {"paired_t": seed_tests.test_paired, "pooled_t": seed_tests.test_pooled}.get(primary)
        test = test or seed_tests.test_welch
        held = [0, 0]
        for a, b in simulate(generator, fixed, shape, simulations, effect=0.3):
            units = to_units(a, level), to_units(b, level)
            for at, (found, true) in enumerate(((seed_tests.estimate_mean(units[0]), 0.3), (test(*units), 0.3))):
                held[at] += int(((found.low <= true) & (true <= found.high)).sum())
        shares = [count / simulations for count in held]
        print(f"{title:36} mean {show(shares[0], simulations)}   difference {show(shares[1], simulations)}")
        broken += [f"{title}: coverage {share:.2%}" for share in shares if not 0.94 <= share <= 0.96]
    return broken


def print_mixed(fits: int = 30) -> list[str]:
    """Compare the closed form that levels are simulated by with statsmodels' own fits."""
    generator = np.random.default_rng([SEED, 500])
    ((a, b),) = simulate(generator, Truth(), Shape(1, 3, 3), fits)
    tables: tuple[Floats, Floats] = (a[:, 0].mean(axis=2), b[:, 0].mean(axis=2))
    expected = find_mixed_p(*tables)
    fitted = [fit_mixed_model(*pair).p for pair in zip(*tables, strict=True)]
    apart = [abs(p - one) for p, one in zip(expected, fitted, strict=True) if one is not None]
    print(f"\nMixed model: {len(apart)} of {fits} fits of statsmodels converged; p at most {max(apart):.1e} apart")
    agrees = len(apart) == fits and max(apart) < 0.001
    return [] if agrees else ["the mixed model's closed form is not what statsmodels fits"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=20_000)
    parser.add_argument("--write", action="store_true", help="write the levels into the package")
    options = parser.parse_args()
    begin = time.monotonic()
    levels = measure_levels(options.simulations)
    if options.write:
        write_levels(levels, options.simulations)
    print("False alarms by seeds a side, %, 3 judge runs, 30 items")
    print(f"{'test':30}" + "".join(f"{units:>14}" for units in UNITS))
    for name, rows in sorted(levels.items()):
        cells = "".join(f"{show(rows[units][0], options.simulations):>14}" for units in UNITS)
        print(f"{name:30}{cells}")
    broken = print_designs(options.simulations) + print_power(options.simulations)
    broken += print_holm(options.simulations) + print_coverage(options.simulations) + print_mixed()
    print(f"\n{time.monotonic() - begin:.0f} s")
    for one in broken:
        print(f"broken: {one}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
