"""Real mixtures: RegMix's 512, as performance/surface.py reads them, and a small part of what it measures."""

from pathlib import Path

import numpy as np
import pytest
from surface import FOLDS, SEED, SMALL, read_regmix

from mixlab.analysis.surface.selection import choose, correlate_ranks, make_folds, predict_observed


@pytest.mark.shared
def test_a_surface_of_64_real_mixtures_ranks_those_it_has_not_seen(shared_data: Path) -> None:
    targets = dict(read_regmix(shared_data / "published/regmix"))
    assert len(targets) == 13
    assert all(points.runs_N.sum() == 512 and len(points.components) == 17 for points in targets.values())
    for name in ("arxiv", "pile_cc"):
        points = targets[name]
        assert points.ratios_ND.sum(axis=1) == pytest.approx(1)
        fold = make_folds(len(points), FOLDS, SEED)[0]
        rest = np.setdiff1d(np.arange(len(points)), fold)
        train = points.take(np.random.default_rng(SEED).permutation(rest)[:SMALL])
        chosen = choose(train)
        found = predict_observed(chosen.fitted, points.take(fold), train)
        assert (correlate_ranks(found.means_N, points.values_N[fold]) or 0) > 0.75
        inside = np.abs(found.means_N - points.values_N[fold]) <= chosen.width * found.errors_N
        assert 0.85 <= inside.mean() <= 1
