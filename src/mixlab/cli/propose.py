"""`mixlab propose`: the mixtures worth measuring next, as a study that continues one, and what they cost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from mixlab.artifacts.store import Store
from mixlab.cli._common import example, json_option, open_store, print_json
from mixlab.cli._proposing import (
    Proposed,
    check_free,
    describe_proposed,
    find_proposals,
    price_proposals,
    print_proposed,
    write_study,
)
from mixlab.cli._surface import (
    Measured,
    bound_option,
    check_bounds,
    choose_targets,
    csv_option,
    note_equal_runs,
    parse_bounds,
    read_study,
    read_table,
    target_option,
)
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.plan.build import Planned, build_plan


@click.command(
    epilog=example(
        "mixlab propose demo --gpu-hours 200",
        "mixlab propose demo_round1 --gpu-hours 100 --bound raw=0.1..0.6",
        "mixlab propose demo --csv losses.csv --gpu-hours 50 --target math",
    )
)
@click.argument("study", required=False)
@click.option(
    "--gpu-hours",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    metavar="H",
    help="What the training of all proposed mixtures may cost, by the formula of `mixlab price`.",
)
@csv_option
@bound_option
@target_option
@click.option(
    "--at-most", type=click.IntRange(1, 64), default=8, show_default=True, help="Mixtures, whatever they cost."
)
@click.option(
    "--denominator",
    type=click.IntRange(2, 1000),
    default=60,
    show_default=True,
    help="Ratios are multiples of 1 / this of the whole mixture.",
)
@json_option
def command(
    study: str | None,
    gpu_hours: float,
    table: Path | None,
    bounds: Sequence[str],
    wanted: Sequence[str],
    at_most: int,
    denominator: int,
    as_json: bool,
) -> None:
    """Propose the mixtures of a study that would tell most about where its best one lies, as far as H GPU-hours go.

    Writes studies/STUDY_round1.yaml, which extends STUDY (after that STUDY_round2.yaml, which extends the first): what
    is finished keeps its keys and is not made again, and what is planned already is not proposed again. Prints the
    noise between runs, the difference the study's repeats can detect, what is to be gained, and the price. Writes
    nothing where the stop rule is met: no target's best mixture is expected to gain more than the study could detect.
    Points are the study's finished scores, or the rows of a CSV file whose components are the study's cells: raw,
    en/math.
    """
    store = open_store()
    planned = build_plan(store.root, [study] if study else ())
    name = _find_study(planned)
    check_free(store.root, name)
    measured = _read(store, planned, name, table)
    limits = parse_bounds(bounds, measured.components)
    targets = choose_targets(measured, wanted)
    for one in targets:
        check_bounds(one.points.ratios_ND, measured.components, limits)
    measured = note_equal_runs(measured, targets)
    found = find_proposals(name, measured, targets, limits, at_most, denominator, planned.studies[name].seeds)
    proposed = Proposed(found, {})
    if not found.is_stopped:
        proposed = write_study(store.root, planned, price_proposals(store, planned, found, gpu_hours))
    if as_json:
        print_json(describe_proposed(proposed, measured))
    else:
        print_proposed(proposed, measured)


def _find_study(planned: Planned) -> str:
    names = list(planned.plan.targets)
    if len(names) != 1:
        raise ConfigError(Problem(f"name one study of {', '.join(names)}: a proposal continues one"))
    (name,) = names
    if not planned.studies[name].variants:
        raise ConfigError(Problem(f"study '{name}' trains on no mixture: it has no variants to add to"))
    return name


def _read(store: Store, planned: Planned, name: str, table: Path | None) -> Measured:
    """Read the points, and check that their components are what a variant of the study can say."""
    from mixlab.analysis.surface.study_points import RAW, list_cells, read_study_points

    if table is None:
        measured = read_study(store, planned, name)
    else:
        found = read_study_points(store, planned.plan, name)
        measured = read_table(table)
        order = [found.components.index(one) if one in found.components else -1 for one in measured.components]
        pending = tuple(tuple(one[at] if at >= 0 else 0.0 for at in order) for one in found.pending)
        measured = replace(measured, pending=pending)
    known = {RAW, *list_cells(planned.studies[name])}
    problems = [
        Problem(
            f"study '{name}' has no component '{component}'{did_you_mean(component, known)}; it has "
            f"{', '.join(sorted(known))}" + _explain(component),
            "" if table is None else str(table),
        )
        for component in measured.components
        if component not in known
    ]
    if problems:
        raise ConfigError(problems)
    return measured


def _explain(component: str) -> str:
    if component.startswith("raw "):
        return ": its variants compose the raw part differently, which a proposal cannot say; hold `raw` the same"
    return ""
