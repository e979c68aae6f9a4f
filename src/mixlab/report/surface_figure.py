"""Response surfaces as figures: slices through the optimum with intervals, or the triangle of three components."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from mixlab.analysis.surface.points import Floats, count_dimensions
from mixlab.analysis.surface.survey import Surveyed
from mixlab.report.figures import BLUE, INK, STYLE, VERMILION, find_legible, render_figure
from mixlab.report.tables import Figure

_PANELS = 4
"""Slices of one target: of the components along which its surface moves most."""
_STEPS = 61
_GRID = 36


def draw_surfaces(surveyed: Sequence[Surveyed]) -> Figure | None:
    """Draw a row of panels for each target that has a surface; None where none has."""
    fitted = [one for one in surveyed if one.chosen is not None]
    if not fitted:
        return None
    triangles = [_find_triangle(one) is not None for one in fitted]
    columns = 1 if all(triangles) else min(_PANELS, max(len(_list_slices(one)) for one in fitted))
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(0.9 + 2.5 * max(columns, 1.4), 2.4 * len(fitted) + 0.3), layout="constrained")
        rows = canvas.subplots(len(fitted), columns, squeeze=False)
        for one, panels in zip(fitted, rows, strict=True):
            _draw_target(one, list(panels))
        title = "Predicted values along each component, others in proportion, with intervals of 95 %; points: measured"
        return render_figure(canvas, "surfaces", title)


def _draw_target(one: Surveyed, panels: list[Axes]) -> None:
    (name,) = find_legible([f"{one.target.name} ({one.target.language})" if one.target.language else one.target.name])
    panels[0].set_title(name)
    corners = _find_triangle(one)
    drawn = 1
    if corners is not None:
        _draw_triangle(one, panels[0], corners)
    else:
        slices = _list_slices(one)[: len(panels)]
        for panel, component in zip(panels, slices, strict=False):
            _draw_slice(one, panel, component)
        drawn = len(slices)
    for panel in panels[drawn:]:
        panel.set_visible(False)


def _centre(one: Surveyed) -> Floats:
    """The mixture that slices pass through: the optimum, or the best measured one where none is told."""
    return one.optimum.ratios_D if one.optimum is not None else one.points.ratios_ND[one.best_measured]


def _slice(one: Surveyed, component: int) -> Floats:
    """Mixtures along one component as far as it was measured; the others keep their proportions to each other."""
    centre, measured = _centre(one), one.points.ratios_ND[:, component]
    along = np.linspace(measured.min(), measured.max(), _STEPS)
    rest = np.delete(centre, component)
    others = rest / rest.sum() if rest.sum() > 0 else np.full(len(rest), 1 / len(rest))
    return np.insert(np.outer(1 - along, others), component, along, axis=1)


def _list_slices(one: Surveyed) -> list[int]:
    """List the components that vary, those first along which the surface moves most."""
    if one.chosen is None:
        return []
    varied = [int(place) for place in np.flatnonzero(np.ptp(one.points.ratios_ND, axis=0) > 0)]
    moves = {place: float(np.ptp(one.chosen.fitted.predict(_slice(one, place))[0])) for place in varied}
    return sorted(varied, key=lambda place: -moves[place])


def _draw_slice(one: Surveyed, panel: Axes, component: int) -> None:
    if one.chosen is None:
        raise ValueError(f"{one.target.name} has no surface")
    mixtures = _slice(one, component)
    means, errors = one.chosen.fitted.predict(mixtures)
    reach = one.chosen.width * errors
    along = mixtures[:, component]
    panel.fill_between(along, means - reach, means + reach, color=BLUE, alpha=0.18, linewidth=0)
    panel.plot(along, means, color=BLUE, linewidth=1.2)
    points = one.points
    panel.errorbar(
        points.ratios_ND[:, component],
        points.values_N,
        yerr=1.96 * points.errors_N,
        fmt="o",
        color=INK,
        markersize=2.2,
        elinewidth=0.6,
        alpha=0.45,
    )
    if one.optimum is not None:
        panel.plot([one.optimum.ratios_D[component]], [one.optimum.value], "D", color=VERMILION, markersize=5)
    panel.set_xlabel(find_legible(points.components)[component])
    panel.grid(axis="y")
    panel.set_axisbelow(True)


def _find_triangle(one: Surveyed) -> list[int] | None:
    """Positions of the components that vary, where they are three with two directions between them."""
    varied = np.flatnonzero(np.ptp(one.points.ratios_ND, axis=0) > 0)
    is_plane = len(varied) == 3 and count_dimensions(one.points.ratios_ND) == 2
    return [int(place) for place in varied] if is_plane else None


def _project(ratios_MD: Floats, corners: Sequence[int]) -> tuple[Floats, Floats]:
    """Put three ratios into an equilateral triangle: the second to the right, the third on top."""
    three = ratios_MD[:, corners]
    three = three / three.sum(axis=1, keepdims=True)
    return three[:, 1] + three[:, 2] / 2, three[:, 2] * np.sqrt(3) / 2


def _draw_triangle(one: Surveyed, panel: Axes, corners: Sequence[int]) -> None:
    if one.chosen is None:
        raise ValueError(f"{one.target.name} has no surface")
    share = 1 - np.delete(one.points.ratios_ND[0], corners).sum()
    grid = [(a, b, _GRID - a - b) for a in range(_GRID + 1) for b in range(_GRID + 1 - a)]
    mixtures = np.tile(one.points.ratios_ND[0], (len(grid), 1))
    mixtures[:, corners] = np.array(grid) / _GRID * share
    means, errors = one.chosen.fitted.predict(mixtures)
    across, up = _project(mixtures, corners)
    filled = panel.tricontourf(across, up, means, levels=9, cmap="cividis")
    lines = panel.tricontour(across, up, one.chosen.width * errors, levels=4, colors=INK, linewidths=0.5, alpha=0.6)
    panel.clabel(lines, fmt="±%.2g", fontsize=6)
    panel.figure.colorbar(filled, ax=panel, shrink=0.8)
    panel.plot(*_project(one.points.ratios_ND, corners), "o", color="white", markeredgecolor=INK, markersize=3.5)
    if one.optimum is not None:
        panel.plot(*_project(one.optimum.ratios_D[None, :], corners), "D", color=VERMILION, markersize=6)
    labels = find_legible(one.points.components)
    for corner, (x, y) in zip(corners, ((0, -0.07), (1, -0.07), (0.5, 0.9)), strict=True):
        panel.text(x, y, labels[corner], ha="center")
    panel.set_xlim(-0.12, 1.12)
    panel.set_ylim(-0.12, 0.98)
    panel.set_aspect("equal")
    panel.set_axis_off()
