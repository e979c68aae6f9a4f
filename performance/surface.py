"""Response surfaces on RegMix's 512 training mixtures: rank correlation and coverage on held-out folds, and LightGBM's.

    python performance/surface.py [--data ../shared/data]

17 domain weights, validation losses of 13 domains (1M-parameter models; Liu et al. 2024, RegMix, arXiv:2407.01492).
Five fixed folds; surfaces are fitted to all mixtures outside of a fold, and to 64 of them. The choice of the family,
all standardising and the widths of intervals happen among those alone. Printed: the mean of Spearman's rank correlation
over the targets, for each family, for the one chosen for each target, and for LightGBM with the settings of RegMix's
own notebook (github.com/sail-sg/regmix, regression_fitting/regression.ipynb, commit 1678465): once as there, stopped
early on the very points it is tested on, which favours it, and once with all of its 1,000 trees. Leaves with 1 unless
the choice beats both with 64 mixtures in every fold; with 2 where LightGBM, a dependency of development, is missing.
"""

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mixlab.analysis.surface.points import Floats, Measurement, Points, build_points
from mixlab.analysis.surface.selection import FAMILIES, choose, correlate_ranks, make_folds, predict_observed

FOLDS, SMALL, SEED = 5, 64, 7
CHOSEN = "chosen"
STOPPED, WHOLE = "lightgbm, stopped on the fold", "lightgbm, 1000 trees"
SETTINGS = {"boosting_type": "gbdt", "objective": "regression", "n_estimators": 1000, "learning_rate": 0.01, "seed": 42}

Fit = Callable[[Points, Points], Floats]


def read_regmix(folder: Path) -> list[tuple[str, Points]]:
    """Read the points of every target; weights are rounded to three digits in the file, and are normalised."""
    with (folder / "train_mixture_1m.csv").open(encoding="utf-8", newline="") as file:
        weights = list(csv.DictReader(file))
    with (folder / "train_pile_loss_1m.csv").open(encoding="utf-8", newline="") as file:
        losses = list(csv.DictReader(file))
    if [row["index"] for row in weights] != [row["index"] for row in losses]:
        sys.exit("the two files do not list the same mixtures in the same order")
    domains = [name for name in weights[0] if name != "index"]
    ratios = [tuple(float(row[name]) for name in domains) for row in weights]
    ratios = [tuple(ratio / sum(row) for ratio in row) for row in ratios]
    found = []
    for name in (name for name in losses[0] if name != "index"):
        pairs = zip(weights, ratios, losses, strict=True)
        rows = [Measurement(row["index"], ratio, float(loss[name])) for row, ratio, loss in pairs]
        short = name.removeprefix("metric/the_pile_").removesuffix("_val_loss")
        found.append((short, build_points([one.removeprefix("train_the_pile_") for one in domains], rows)))
    return found


def list_lightgbm() -> dict[str, Fit]:
    """Return LightGBM as RegMix fits it, and without its look at the fold; nothing where it is not installed."""
    try:
        import lightgbm
    except ImportError:
        return {}

    def fit(train: Points, fold: Points, *, stops: bool) -> Floats:
        model = lightgbm.LGBMRegressor(**SETTINGS, n_jobs=1, verbosity=-1)
        seen = {}
        if stops:
            stop = lightgbm.early_stopping(stopping_rounds=3, verbose=False)
            seen = {"eval_set": [(fold.ratios_ND, fold.values_N)], "eval_metric": "l2", "callbacks": [stop]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(train.ratios_ND, train.values_N, **seen)
            predicted: Floats = model.predict(fold.ratios_ND)
        return predicted

    return {
        STOPPED: lambda train, fold: fit(train, fold, stops=True),
        WHOLE: lambda train, fold: fit(train, fold, stops=False),
    }


def try_fold(train: Points, fold: Points, rivals: dict[str, Fit]) -> tuple[dict[str, float], dict[str, float], str]:
    """Return rank correlations and coverages on a fold by name, and the family that was chosen without it."""
    chosen = choose(train)
    ranks, covered = {}, {}
    for name, family in FAMILIES.items():
        fitted = chosen.fitted if name == chosen.family else family(train)
        found = predict_observed(fitted, fold, train)
        ranks[name] = correlate_ranks(found.means_N, fold.values_N) or 0.0
        inside = np.abs(found.means_N - fold.values_N) <= chosen.widths[name] * found.errors_N
        covered[name] = float(inside.mean())
    ranks[CHOSEN], covered[CHOSEN] = ranks[chosen.family], covered[chosen.family]
    for name, rival in rivals.items():
        ranks[name] = correlate_ranks(rival(train, fold), fold.values_N) or 0.0
    return ranks, covered, chosen.family


def try_size(targets: Sequence[tuple[str, Points]], size: int | None, rivals: dict[str, Fit]) -> dict[str, list[float]]:
    """Print a table of folds for one number of training mixtures; return mean rank correlations by name and fold."""
    count = len(targets[0][1])
    rows: dict[str, list[float]] = {}
    inside: dict[str, list[float]] = {}
    families: dict[str, int] = {}
    trained = 0
    began = time.perf_counter()
    for number, fold in enumerate(make_folds(count, FOLDS, SEED)):
        rest = np.setdiff1d(np.arange(count), fold)
        if size is not None:
            rest = np.random.Generator(np.random.PCG64(SEED + number)).permutation(rest)[:size]
        trained = len(rest)
        results = [try_fold(points.take(rest), points.take(fold), rivals) for _, points in targets]
        for name in results[0][0]:
            rows.setdefault(name, []).append(float(np.mean([ranks[name] for ranks, _, _ in results])))
        for name in results[0][1]:
            inside.setdefault(name, []).append(float(np.mean([covered[name] for _, covered, _ in results])))
        for _, _, family in results:
            families[family] = families.get(family, 0) + 1
        print(f"fold {number + 1} of {FOLDS}, {trained} mixtures: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(f"\n{trained} training mixtures, mean Spearman over {len(targets)} targets, by fold")
    for name, by_fold in rows.items():
        told = f"   coverage of 95 % intervals {np.mean(inside[name]) * 100:.1f} %" if name in inside else ""
        print(f"{name:30}" + "".join(f"{one:8.4f}" for one in by_fold) + f"   mean {np.mean(by_fold):.4f}{told}")
    print("chosen: " + ", ".join(f"{name} {times} times" for name, times in sorted(families.items())))
    return rows


def main() -> int:
    """Run everything; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    folder = parser.parse_args().data / "published/regmix"
    if not folder.is_dir():
        print(f"no data: {folder} is not there")
        return 2
    targets, rivals = read_regmix(folder), list_lightgbm()
    began = time.perf_counter()
    small = try_size(targets, SMALL, rivals)
    try_size(targets, None, rivals)
    print(f"\n{time.perf_counter() - began:.0f} s")
    if not rivals:
        print("LightGBM is not installed, so nothing was compared with it: python -m pip install '.[dev]'")
        return 2
    beaten = [all(small[CHOSEN][fold] > small[name][fold] for name in rivals) for fold in range(FOLDS)]
    print(f"with {SMALL} mixtures the choice beats LightGBM in {sum(beaten)} of {FOLDS} folds")
    return 0 if all(beaten) else 1


if __name__ == "__main__":
    sys.exit(main())
