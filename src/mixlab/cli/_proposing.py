"""Proposals for a study: found, priced as edits of it, written as a study that extends it, told."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import render_count, render_table
from mixlab.cli._price_edit import sum_price
from mixlab.cli._price_text import render_number
from mixlab.cli._pricing import Priced, Terms, price_plan
from mixlab.cli._surface import Bound, Measured, describe_name
from mixlab.config.problems import ConfigError, Problem, UserError
from mixlab.config.studies import STUDIES
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.price import sum_lines
from mixlab.plan.stages import STAGES

if TYPE_CHECKING:
    from mixlab.analysis.surface.acquisition import Outlook, Proposal
    from mixlab.analysis.surface.mixtures_csv import MeasuredTarget

HOW = "each lowers the variance of the surfaces most, after those before it, half by where the best mixture may lie"
RULE = (
    "stop when no target's best mixture is expected to gain more over its best measured one than the study's repeats "
    "can detect"
)


@dataclass(frozen=True)
class Told:
    """What is told of one target: noise between runs, the difference that can be detected, what is to be gained."""

    name: str
    mixtures: int
    needed: int
    noise: float | None
    runs: int
    detectable: float | None
    outlook: "Outlook"

    @property
    def is_settled(self) -> bool:
        """Whether nothing is expected to be gained that the study's repeats could detect."""
        return self.detectable is not None and self.mixtures >= self.needed and self.outlook.gain < self.detectable


@dataclass(frozen=True)
class Found:
    """Proposals before they are priced, by the name of the variant that each would be, best first."""

    study: str
    extended_by: str
    region: str
    components: tuple[str, ...]
    targets: Sequence[Told]
    proposals: Mapping[str, "Proposal"]

    @property
    def is_stopped(self) -> bool:
        """The stop rule: every target is settled."""
        return all(one.is_settled for one in self.targets)


@dataclass(frozen=True)
class Proposed:
    """What came out: proposals within the hours, which of them are trained already, the price, the file."""

    found: Found
    variants: Mapping[str, Mapping[str, Any]]
    made: Sequence[str] = ()
    priced: Priced | None = None
    gpu_hours: float = 0.0
    file: Path | None = None


def find_proposals(
    study: str,
    measured: Measured,
    targets: Sequence["MeasuredTarget"],
    bounds: Sequence[Bound],
    at_most: int,
    denominator: int,
) -> Found:
    """Choose mixtures to measure; raises ConfigError where no other lies within the region."""
    import numpy as np

    from mixlab.analysis.surface.acquisition import Objective, propose
    from mixlab.analysis.surface.proposed_study import name_round, name_variant
    from mixlab.analysis.surface.region import build_region

    ratios = np.unique(np.vstack([one.points.ratios_ND for one in targets]), axis=0)
    region = build_region(ratios, measured.components, bounds)
    objectives = [Objective(one.points, one.target.is_loss) for one in targets]
    told = [_tell(one, objective, region) for one, objective in zip(targets, objectives, strict=True)]
    extended_by, number = name_round(study)
    found = Found(study, extended_by, region.name, measured.components, told, {})
    if found.is_stopped:
        return found
    pending = np.array(measured.pending, dtype=float).reshape(len(measured.pending), len(measured.components))
    proposals = propose(objectives, region, pending, at_most, denominator)
    if not proposals:
        cure = "widen it by --bound NAME=LOW..HIGH, or take a larger --denominator"
        raise ConfigError(Problem(f"no mixture that is not measured or planned already lies in {region.name}; {cure}"))
    return replace(found, proposals={name_variant(number, place): one for place, one in enumerate(proposals, 1)})


def _tell(one: "MeasuredTarget", objective: Any, region: Any) -> Told:
    import numpy as np

    from mixlab.analysis.surface.acquisition import find_outlook
    from mixlab.analysis.surface.detectable import find_detectable_effect
    from mixlab.analysis.surface.optimum import need_mixtures

    points = one.points
    runs = int(np.median(points.runs_N))
    detectable = find_detectable_effect(points.noise, runs)
    outlook = find_outlook(objective, region, detectable)
    needed = need_mixtures(points.ratios_ND)
    return Told(describe_name(one), len(points), needed, points.noise, runs, detectable, outlook)


def check_free(root: Path, study: str) -> None:
    """Raise ConfigError where the study that a proposal would write is there already, or cannot be written."""
    from mixlab.analysis.surface.proposed_study import name_round

    name, _ = name_round(study)
    path = Path(STUDIES) / f"{name}.yaml"
    if (root / path).exists():
        cure = f"run it, and then `mixlab propose {name}` goes on from there; or remove it to have another"
        raise ConfigError(Problem(f"is there already: the mixtures to measure after '{study}'; {cure}", str(path)))
    if not os.access((root / path).parent, os.W_OK):
        raise ConfigError(Problem("cannot be written: its folder is not yours to write to", str(path)))


def price_proposals(store: Store, planned: Planned, found: Found, gpu_hours: float) -> Proposed:
    """Keep as many proposals, best first, as the hours allow.

    Raises ConfigError where not one is within them, or where it is not known what training costs.
    """
    from mixlab.analysis.surface.proposed_study import build_variant, carry_over

    carried = carry_over(planned.reads[found.study])
    variants = {name: build_variant(found.components, one.ratios, carried) for name, one in found.proposals.items()}
    states = read_states(store, STAGES)
    before = _count_hours(price_plan(store, planned, states, Terms()))
    first = _price(store, planned, found, states, dict(list(variants.items())[:1]), before)
    count = len(variants)
    if first.gpu_hours > 0:
        count = min(count, math.floor(gpu_hours / first.gpu_hours * (1 + 1e-9)))
    if not count:
        said = f"one more mixture takes {render_number(first.gpu_hours)} GPU-hours of training, with all its repeats"
        raise ConfigError(Problem(f"{said}; {render_number(gpu_hours)} is less", "--gpu-hours"))
    while True:
        proposed = _price(store, planned, found, states, dict(list(variants.items())[:count]), before)
        # one that is made already costs nothing, and others may cost more than the first
        if proposed.gpu_hours <= gpu_hours * (1 + 1e-9) or count == 1:
            return proposed
        count -= 1


def _price(
    store: Store,
    planned: Planned,
    found: Found,
    states: States,
    variants: Mapping[str, Mapping[str, Any]],
    before: float,
) -> Proposed:
    from mixlab.analysis.surface.proposed_study import build_edits

    after = build_plan(store.root, [found.study], edits=build_edits(variants))
    priced = price_plan(store, after, states, Terms(), beside=planned.plan)
    made = []
    for name in variants:
        starts = (f"{found.study}/{name}/", f"{found.study}/{name} on ")
        runs = [node for node in after.plan.by_stage("ipt") if any(one.startswith(starts) for one in node.labels)]
        if runs and all(states.is_finished(node.name) for node in runs):
            made.append(name)
    return Proposed(found, variants, made, priced, max(0.0, _count_hours(priced) - before))


def _count_hours(priced: Priced) -> float:
    """Hours of training that would run, by formula; raises ConfigError where they are not known."""
    trained = sum_lines(priced.lines, "all").to_do
    if trained.unknown:
        unknown = next(run.unknown for run in priced.runs if run.unknown)
        message = f"what {render_count(trained.unknown, 'run')} would take is not known: {unknown}"
        raise ConfigError(Problem(message, "--gpu-hours"))
    return trained.gpu_hours


def write_study(root: Path, planned: Planned, proposed: Proposed) -> Proposed:
    """Write the study that extends the one continued, and read it as a run would; what cannot be read is not left."""
    from mixlab.analysis.surface.proposed_study import name_round, render_study

    found = proposed.found
    _, number = name_round(found.study)
    title = planned.studies[found.study].title.partition(", round ")[0]
    comments = [f"Mixtures to measure after those of '{found.study}', proposed by `mixlab propose`:", f"{HOW}."]
    text = render_study(found.study, f"{title}, round {number}", comments, proposed.variants)
    path = root / STUDIES / f"{found.extended_by}.yaml"
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    try:
        build_plan(root, [found.extended_by])
    except UserError:
        path.unlink()
        raise
    return replace(proposed, file=path.relative_to(root))


def print_proposed(proposed: Proposed, measured: Measured) -> None:
    """Print noise, what can be detected and gained, the mixtures, their price and the stop rule."""
    found = proposed.found
    for note in measured.notes:
        click.echo(f"! {note}")
    click.echo(f"{measured.source}: {render_count(len(measured.pending), 'mixture')} planned and not measured yet")
    click.echo(f"region: {found.region}\n")
    header = ("target", "mixtures", "runs of each", "noise between runs", "detectable", "expected gain", "beyond it")
    click.echo(render_table(header, [_row(one) for one in found.targets]))
    click.echo("")
    click.echo(f"stop rule: {RULE}: {'met, nothing is proposed' if found.is_stopped else 'not met'}")
    for one in found.targets:
        if one.mixtures < one.needed:
            click.echo(f"! {one.name}: {one.mixtures} mixtures; no optimum is told with fewer than {one.needed}")
    if proposed.file is None:
        return
    click.echo(f"proposals: {HOW}\n")
    rows = [_describe_mixture(name, proposed) for name in proposed.variants]
    click.echo(render_table(("mixture", "variance taken away", "ratios of the whole"), rows))
    click.echo("")
    _print_price(proposed)
    click.echo(f"written: {proposed.file}; `mixlab price {found.extended_by}` says more of what it takes")


def _row(one: Told) -> list[str]:
    numbers = (one.noise, one.detectable, one.outlook.gain)
    noise, detectable, gain = ("not known" if number is None else f"{number:.3g}" for number in numbers)
    chance = "-" if math.isnan(one.outlook.chance) else f"{one.outlook.chance * 100:.0f} %"
    return [one.name, str(one.mixtures), str(one.runs), noise, detectable, gain, chance]


def _describe_mixture(name: str, proposed: Proposed) -> list[str]:
    proposal = proposed.found.proposals[name]
    shares = zip(proposed.found.components, proposal.ratios, strict=True)
    ratios = ", ".join(f"{component} {ratio}" for component, ratio in shares if ratio)
    trained = " (trained already)" if name in proposed.made else ""
    return [name, f"{proposal.reduction * 100:.1f} %", ratios + trained]


def _print_price(proposed: Proposed) -> None:
    if proposed.priced is None:
        raise ValueError("proposals without a price")
    left = len(proposed.found.proposals) - len(proposed.variants)
    more = f"; {render_count(left, 'further mixture')} would be beyond the hours" if left else ""
    sums = sum_price(proposed.priced)
    hours = render_number(proposed.gpu_hours)
    mixtures = render_count(len(proposed.variants), "mixture")
    click.echo(f"price: {hours} GPU-hours of training by formula for {mixtures} with all repeats{more}")
    click.echo(f"with what the study lacks already, {render_count(sums.jobs, 'job')} would run")


def describe_proposed(proposed: Proposed, measured: Measured) -> dict[str, Any]:
    """Describe everything for JSON."""
    found = proposed.found
    return {
        "study": found.study,
        "source": measured.source,
        "notes": list(measured.notes),
        "region": found.region,
        "acquisition": HOW,
        "stop_rule": RULE,
        "stop": found.is_stopped,
        "targets": [_describe_target(one) for one in found.targets],
        "file": None if proposed.file is None else str(proposed.file),
        "extends": found.study,
        "name": found.extended_by,
        "proposals": [
            {
                "variant": name,
                "ratios": {
                    component: str(ratio)
                    for component, ratio in zip(found.components, found.proposals[name].ratios, strict=True)
                },
                "variance_reduction": found.proposals[name].reduction,
                "is_trained": name in proposed.made,
            }
            for name in proposed.variants
        ],
        "beyond_the_hours": len(found.proposals) - len(proposed.variants),
        "gpu_hours": proposed.gpu_hours,
    }


def _describe_target(one: Told) -> dict[str, Any]:
    return {
        "target": one.name,
        "mixtures": one.mixtures,
        "mixtures_needed": one.needed,
        "noise": one.noise,
        "runs": one.runs,
        "detectable_effect": one.detectable,
        "expected_gain": one.outlook.gain,
        "chance_beyond_detectable": None if math.isnan(one.outlook.chance) else one.outlook.chance,
        "is_settled": one.is_settled,
    }
