"""`mixlab surface`: scores as a function of a mixture's ratios, and the mixture that would be best."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixlab.cli._common import example, json_option, open_store, print_json, render_table
from mixlab.cli._surface import (
    Measured,
    bound_option,
    check_bounds,
    choose_targets,
    csv_option,
    describe_name,
    note_equal_runs,
    parse_bounds,
    read_study,
    read_table,
    round_ratio,
    run_told,
    target_option,
)
from mixlab.config.problems import ConfigError, Problem
from mixlab.plan.build import build_plan

if TYPE_CHECKING:
    from mixlab.analysis.surface.survey import Surveyed

_SHOWN_RATIO = 0.005
"""A component with less at the optimum, and surely so, is not printed."""


@click.command(
    epilog=example(
        "mixlab surface demo",
        "mixlab surface --csv losses.csv --target wikipedia --figure surface.svg",
        "mixlab surface demo --bound raw=0.2..0.6 --json",
    )
)
@click.argument("study", required=False)
@csv_option
@bound_option
@target_option
@click.option(
    "--figure",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Draw slices through each optimum, or the triangle of three components.",
)
@json_option
def command(
    study: str | None,
    table: Path | None,
    bounds: Sequence[str],
    wanted: Sequence[str],
    figure: Path | None,
    as_json: bool,
) -> None:
    """Fit each benchmark's score as a function of a mixture's ratios, and tell the mixture that would be best.

    Three families are fitted: the log-linear mixing law, a quadratic, a Gaussian process on square roots of ratios.
    Which one is chosen by cross-validation; how well the choice does is told of mixtures held out from all of it.
    Where mixtures are too few, or the surface says nothing of held-out ones, no optimum is told. Points are the
    finished scores of STUDY (without it the one that config.yaml names) or the rows of a CSV file (docs/surface.md).
    """
    measured = _read(study, table)
    limits = parse_bounds(bounds, measured.components)
    chosen = choose_targets(measured, wanted)
    for one in chosen:
        check_bounds(one.points.ratios_ND, measured.components, limits)
    measured = note_equal_runs(measured, chosen)
    from mixlab.analysis.surface.survey import survey

    surveyed = run_told(chosen, "target", lambda one: survey(one, limits))
    if figure is not None:
        _draw(surveyed, figure)
    if as_json:
        print_json(_describe(measured, surveyed))
    else:
        _print(measured, surveyed)


def _read(study: str | None, table: Path | None) -> Measured:
    if table is not None:
        if study is not None:
            raise ConfigError(Problem("points come from a study or from a CSV file; name one of them", "--csv"))
        return read_table(table)
    store = open_store()
    planned = build_plan(store.root, [study] if study else (), check_files=False)
    names = list(planned.plan.targets)
    if len(names) != 1:
        raise ConfigError(Problem(f"name one study of {', '.join(names)}: their mixtures are not one set of points"))
    return read_study(store, planned, names[0])


def _draw(surveyed: Sequence["Surveyed"], figure: Path) -> None:
    from mixlab.report.surface_figure import draw_surfaces

    drawn = draw_surfaces(surveyed)
    if drawn is None:
        raise ConfigError(Problem("no target has a surface to draw: there are too few mixtures", "--figure"))
    try:
        figure.write_bytes(drawn.svg)
    except OSError as error:
        raise ConfigError(Problem(f"{figure}: cannot be written: {error.strerror}", "--figure")) from None
    click.echo(f"written: {figure}", err=True)


def _print(measured: Measured, surveyed: Sequence["Surveyed"]) -> None:
    count = max(len(one.points) for one in surveyed)
    click.echo(f"{measured.source}: {count} distinct mixtures of {len(measured.components)} components")
    for note in measured.notes:
        click.echo(f"! {note}")
    click.echo("")
    header = ("target", "mixtures", "family", "Spearman", "explained", "coverage of 95 %", "noise between runs")
    click.echo(render_table(header, [_row(one) for one in surveyed]))
    click.echo("")
    for one in surveyed:
        click.echo(_tell(one))


def _row(one: "Surveyed") -> list[str]:
    noise = "-" if one.points.noise is None else f"{one.points.noise:.4g}"
    start = [describe_name(one), str(len(one.points))]
    if one.validated is None or one.chosen is None:
        return [*start, "none", "-", "-", "-", noise]
    rank = "-" if one.validated.spearman is None else f"{one.validated.spearman:.3f}"
    told = f"{one.validated.covered * 100:.1f} %"
    return [*start, one.chosen.family, rank, f"{one.validated.explained:.3f}", told, noise]


def _tell(one: "Surveyed") -> str:
    name, best = describe_name(one), one.best_measured
    measured = f"best measured: {one.points.values_N[best]:.4g} of '{one.points.labels[best]}'"
    if one.optimum is None:
        if one.abstention is None:
            raise ValueError(f"{name}: neither an optimum nor why there is none")
        more = one.abstention.more
        return f"{name}: no optimum: {one.abstention.reason}; about {more} more. {measured}"
    optimum = one.optimum
    shares = zip(one.points.components, optimum.ratios_D, optimum.lows_D, optimum.highs_D, strict=True)
    ratios = ", ".join(
        f"{component} {ratio:.2f} [{low:.2f}, {high:.2f}]"
        for component, ratio, low, high in shares
        if high >= _SHOWN_RATIO
    )
    what = "lowest" if one.target.is_loss else "highest"
    value = f"{optimum.value:.4g} [{optimum.low:.4g}, {optimum.high:.4g}]"
    gain = f"expected gain over the best measured {optimum.gain:.3g} [{optimum.gain_low:.3g}, {optimum.gain_high:.3g}]"
    return f"{name}: {what} {value} at {ratios}; {gain}. {measured}"


def _describe(measured: Measured, surveyed: Sequence["Surveyed"]) -> dict[str, Any]:
    return {
        "source": measured.source,
        "components": list(measured.components),
        "notes": list(measured.notes),
        "targets": [_describe_one(one) for one in surveyed],
    }


def _describe_one(one: "Surveyed") -> dict[str, Any]:
    best, validated, chosen = one.best_measured, one.validated, one.chosen
    return {
        "target": one.target.name,
        "language": one.target.language,
        "is_loss": one.target.is_loss,
        "mixtures": len(one.points),
        "runs": int(one.points.runs_N.sum()),
        "noise": one.points.noise,
        "region": one.region.name,
        "best_measured": {"mixture": one.points.labels[best], "value": float(one.points.values_N[best])},
        "family": None if chosen is None else chosen.family,
        "errors": None if chosen is None else dict(chosen.errors),
        "spearman": None if validated is None else validated.spearman,
        "explained": None if validated is None else validated.explained,
        "coverage": None if validated is None else validated.covered,
        "abstention": None
        if one.abstention is None
        else {"reason": one.abstention.reason, "more": one.abstention.more},
        "optimum": None if one.optimum is None else _describe_optimum(one),
    }


def _describe_optimum(one: "Surveyed") -> dict[str, Any]:
    optimum = one.optimum
    if optimum is None:
        raise ValueError("there is no optimum")
    shares = zip(one.points.components, optimum.ratios_D, optimum.lows_D, optimum.highs_D, strict=True)
    ratios = {
        name: {"ratio": round_ratio(ratio), "low": round_ratio(low), "high": round_ratio(high)}
        for name, ratio, low, high in shares
    }
    numbers = {name: getattr(optimum, name) for name in ("value", "low", "high", "gain", "gain_low", "gain_high")}
    if not all(math.isfinite(number) for number in numbers.values()):
        raise ValueError(f"{describe_name(one)}: the surface has no finite optimum")
    return {**numbers, "ratios": ratios}
