"""Loss curves of training runs, for people who would rather look."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Curve = Sequence[tuple[int, float]]
FORMATS = (".png", ".svg", ".pdf")


def draw_losses(training: Mapping[str, Curve], validation: Mapping[str, Curve], path: Path) -> None:
    """Draw training losses, and beside them those on held-out windows where there are any, in the format of `path`."""
    groups = [("training loss", training), ("validation loss", validation)]
    groups = [(title, curves) for title, curves in groups if curves]
    figure = Figure(figsize=(6.4 * len(groups), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, curves) in enumerate(groups, 1):
        _draw(figure.add_subplot(1, len(groups), place), title, curves)
    figure.savefig(path, dpi=150)


def _draw(axes: Axes, title: str, curves: Mapping[str, Curve]) -> None:
    for name, curve in curves.items():
        marker = "o" if len(curve) < 50 else None
        axes.plot([step for step, _ in curve], [loss for _, loss in curve], label=name, linewidth=1, marker=marker)
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.grid(alpha=0.2)
    axes.legend(fontsize="small")
