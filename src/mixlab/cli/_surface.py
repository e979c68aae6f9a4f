"""What the commands about response surfaces share: where points come from, bounds, how targets are told."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixlab.artifacts.store import Store
from mixlab.config.problems import ConfigError, Problem, did_you_mean

if TYPE_CHECKING:
    from mixlab.analysis.surface.mixtures_csv import MeasuredTarget
    from mixlab.analysis.surface.points import Floats
    from mixlab.analysis.surface.survey import Surveyed
    from mixlab.plan.build import Planned

Bound = tuple[str, float, float]

csv_option = click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Mixtures and what was measured of them: columns ratio:NAME, loss:NAME or score:NAME, se:NAME, mixture.",
)
bound_option = click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="NAME=LOW..HIGH",
    help="Ratios between which a component may lie, in place of the hull of what was measured; may be repeated.",
)
target_option = click.option(
    "--target", "wanted", multiple=True, metavar="TEXT", help="Targets with this in their names; may be repeated."
)


@dataclass(frozen=True)
class Measured:
    """Targets with their points, whose component names are the same, and what is to be said of them.

    `is_table`: they are of a CSV file, not of a study's scores.
    """

    source: str
    components: tuple[str, ...]
    targets: Sequence["MeasuredTarget"]
    notes: Sequence[str] = ()
    pending: tuple[tuple[float, ...], ...] = ()
    is_table: bool = False


def read_table(path: Path) -> Measured:
    """Read the points of a CSV file; raises DataError with every problem."""
    from mixlab.analysis.surface.mixtures_csv import read_mixtures

    targets = read_mixtures(path)
    return Measured(str(path), targets[0].points.components, targets, is_table=True)


def read_study(store: Store, planned: "Planned", name: str) -> Measured:
    """Read the points of a study's finished scores; raises ConfigError where nothing is finished."""
    from mixlab.analysis.surface.study_points import read_study_points

    found = read_study_points(store, planned.plan, name)
    if not found.targets:
        cure = (
            f"`snakemake --profile local all --config study={name}` makes them, `mixlab restore` fetches tracked ones"
        )
        raise ConfigError(Problem(f"study '{name}': no finished scores of models trained on mixtures are here; {cure}"))
    return Measured(name, found.components, found.targets, found.notes, found.pending)


def choose_targets(measured: Measured, wanted: Sequence[str]) -> list["MeasuredTarget"]:
    """Choose the targets that have one of the texts in their names, all without one.

    Raises ConfigError for a text that none has.
    """
    names = [describe_name(one) for one in measured.targets]
    problems = [
        Problem(f"no target is named like '{text}'{did_you_mean(text, names)}; targets: {', '.join(names)}", "--target")
        for text in wanted
        if not any(text in name for name in names)
    ]
    if problems:
        raise ConfigError(problems)
    chosen = zip(names, measured.targets, strict=True)
    return [one for name, one in chosen if not wanted or any(text in name for text in wanted)]


def note_equal_runs(measured: Measured, targets: Sequence["MeasuredTarget"]) -> Measured:
    """Add a note on the targets whose repeats do not differ, so that their noise is not known."""
    names = [describe_name(one) for one in targets if one.points.has_equal_runs]
    if not names:
        return measured
    asked = "; are rows there twice?" if measured.is_table else ""
    note = f"{', '.join(names)}: repeats of a mixture do not differ, so that noise is not known{asked}"
    return replace(measured, notes=(*measured.notes, note))


def describe_name(measured: "MeasuredTarget | Surveyed") -> str:
    """Name a target with its language."""
    target = measured.target
    return f"{target.name} ({target.language})" if target.language else target.name


def parse_bounds(texts: Sequence[str], components: Sequence[str]) -> list[Bound]:
    """Read bounds of components; raises ConfigError with every mistake."""
    bounds: list[Bound] = []
    problems = []
    for text in texts:
        name, _, interval = text.rpartition("=")
        low, dots, high = interval.partition("..")
        try:
            numbers = float(low), float(high)
        except ValueError:
            numbers = (1.0, 0.0)
        if not name or not dots or not 0 <= numbers[0] <= numbers[1] <= 1:
            shown = f"NAME=LOW..HIGH with 0 <= LOW <= HIGH <= 1, such as {components[0]}=0..0.5"
            problems.append(Problem(f"expected {shown}, got {text!r}", "--bound"))
        elif name not in components:
            known = ", ".join(components)
            message = f"no component is named '{name}'{did_you_mean(name, components)}; known: {known}"
            problems.append(Problem(message, "--bound"))
        elif any(name == other for other, _, _ in bounds):
            problems.append(Problem(f"'{name}' has two bounds; give one", "--bound"))
        else:
            bounds.append((name, *numbers))
    if problems:
        raise ConfigError(problems)
    return bounds


def check_bounds(ratios_ND: "Floats", components: Sequence[str], bounds: Sequence[Bound]) -> None:
    """Raise ConfigError where no mixture lies within the bounds."""
    from mixlab.analysis.surface.region import build_region

    try:
        build_region(ratios_ND, components, bounds)
    except ValueError as error:
        raise ConfigError(Problem(str(error), "--bound")) from None


def run_told(items: Sequence["MeasuredTarget"], what: str, work: Callable[["MeasuredTarget"], Any]) -> list[Any]:
    """Do something for each target; what is under way is told on a terminal."""
    done = []
    for number, one in enumerate(items, 1):
        if sys.stderr.isatty():
            click.echo(f"{what} {number} of {len(items)}: {describe_name(one)}", err=True)
        done.append(work(one))
    return done


def round_ratio(ratio: float) -> float:
    """Keep six digits behind the point, for JSON."""
    return round(float(ratio), 6)
