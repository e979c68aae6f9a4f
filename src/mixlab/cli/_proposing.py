"""Proposals for a study: found, priced as edits of it, written as a study that extends it, told."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixlab.artifacts.records import Records
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import render_count, render_table
from mixlab.cli._price_edit import sum_price
from mixlab.cli._price_text import render_number
from mixlab.cli._pricing import Priced, Terms, price_plan
from mixlab.cli._surface import Bound, Measured, describe_name, run_told
from mixlab.config.problems import ConfigError, Problem, UserError
from mixlab.config.studies import STUDIES
from mixlab.config.study import SeedAxes
from mixlab.plan.beside import find_beside
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.price import sum_lines
from mixlab.plan.stages import STAGES

if TYPE_CHECKING:
    from mixlab.analysis.surface.acquisition import Proposal
    from mixlab.analysis.surface.mixtures_csv import MeasuredTarget
    from mixlab.analysis.surface.survey import Surveyed

HOW = "each lowers the variance of the surfaces most, after those before it, half by where the best mixture may lie"
RULE = (
    "stop when no target's best mixture is expected to gain more over its best measured one than the study's repeats "
    "can detect"
)


@dataclass(frozen=True)
class Told:
    """What is told of one target: what `mixlab surface` says of it, repeats, and the difference they can detect."""

    surveyed: "Surveyed"
    runs: int
    detectable: float | None

    @property
    def gain(self) -> float | None:
        """What the best mixture is expected to gain over the best measured one; None where no optimum is told."""
        return None if self.surveyed.optimum is None else self.surveyed.optimum.gain

    @property
    def chance(self) -> float | None:
        """How often the gain is larger than what can be detected; None where one of both is not known."""
        if self.surveyed.optimum is None or self.detectable is None:
            return None
        return self.surveyed.optimum.find_chance(self.detectable)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is expected to be gained that the study's repeats could detect."""
        return self.detectable is not None and self.gain is not None and self.gain < self.detectable


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
    seeds: SeedAxes,
) -> Found:
    """Choose mixtures to measure, in a study with these seeds.

    Raises ConfigError where no other lies within the region.
    """
    import numpy as np

    from mixlab.analysis.surface.acquisition import Objective, propose
    from mixlab.analysis.surface.proposed_study import name_round, name_variant
    from mixlab.analysis.surface.region import build_region

    ratios = np.unique(np.vstack([one.points.ratios_ND for one in targets]), axis=0)
    region = build_region(ratios, measured.components, bounds)
    objectives = [Objective(one.points, one.target.is_loss) for one in targets]
    told = run_told(targets, "target", lambda one: _tell(one, bounds, count_repeats(seeds), measured.is_table))
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


def count_repeats(seeds: SeedAxes) -> int:
    """Count the runs of each mixture that a study makes: its seeds at the outermost level with several."""
    from mixlab.analysis.statistics import SEED_LEVELS

    counts = (len(getattr(seeds, level)) for level in SEED_LEVELS)
    return next((count for count in counts if count > 1), 1)


def _tell(one: "MeasuredTarget", bounds: Sequence[Bound], repeats: int, is_table: bool) -> Told:
    from mixlab.analysis.surface.detectable import find_detectable_effect
    from mixlab.analysis.surface.survey import survey

    # scores of a study before SFT are not repeated by seeds of SFT; a file does not say what its values are of
    runs = repeats if is_table else min(repeats, int(one.points.runs_N.max()))
    return Told(survey(one, bounds), runs, find_detectable_effect(one.points.noise, runs))


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
    records = Records(store)
    beside = find_beside(records, planned, states).add(planned, planned.plan.nodes)

    def price(one: Planned) -> Priced:
        return price_plan(store, one, states, Terms(), beside, records)

    before = _count_hours(price(planned))
    first = _price(store, price, found, states, dict(list(variants.items())[:1]), before)
    count = len(variants)
    if first.gpu_hours > 0:
        count = min(count, math.floor(gpu_hours / first.gpu_hours * (1 + 1e-9)))
    if not count:
        said = f"one more mixture takes {render_number(first.gpu_hours)} GPU-hours of training, with all its repeats"
        raise ConfigError(Problem(f"{said}; {render_number(gpu_hours)} is less", "--gpu-hours"))
    while True:
        proposed = _price(store, price, found, states, dict(list(variants.items())[:count]), before)
        # one that is made already costs nothing, and others may cost more than the first
        if proposed.gpu_hours <= gpu_hours * (1 + 1e-9) or count == 1:
            return proposed
        count -= 1


def _price(
    store: Store,
    price: Callable[[Planned], Priced],
    found: Found,
    states: States,
    variants: Mapping[str, Mapping[str, Any]],
    before: float,
) -> Proposed:
    from mixlab.analysis.surface.proposed_study import build_edits

    after = build_plan(store.root, [found.study], edits=build_edits(variants))
    priced = price(after)
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
        if one.surveyed.abstention is not None:
            why = one.surveyed.abstention
            click.echo(f"! {describe_name(one.surveyed)}: no optimum: {why.reason}; about {why.more} more")
    if proposed.file is None:
        return
    click.echo(f"proposals: {HOW}\n")
    rows = [_describe_mixture(name, proposed) for name in proposed.variants]
    click.echo(render_table(("mixture", "variance taken away", "ratios of the whole"), rows))
    click.echo("")
    _print_price(proposed)
    click.echo(f"written: {proposed.file}; `mixlab price {found.extended_by}` says more of what it takes")


def _row(one: Told) -> list[str]:
    points = one.surveyed.points
    noise, detectable, gain = (
        "not known" if number is None else f"{number:.3g}" for number in (points.noise, one.detectable, one.gain)
    )
    chance = "-" if one.chance is None else f"{one.chance * 100:.0f} %"
    return [describe_name(one.surveyed), str(len(points)), str(one.runs), noise, detectable, gain, chance]


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
    from mixlab.analysis.surface.optimum import need_mixtures

    surveyed = one.surveyed
    return {
        "target": describe_name(surveyed),
        "mixtures": len(surveyed.points),
        "mixtures_needed": need_mixtures(surveyed.points.ratios_ND),
        "family": None if surveyed.chosen is None else surveyed.chosen.family,
        "abstention": None if surveyed.abstention is None else surveyed.abstention.reason,
        "noise": surveyed.points.noise,
        "runs": one.runs,
        "detectable_effect": one.detectable,
        "expected_gain": one.gain,
        "chance_beyond_detectable": one.chance,
        "is_settled": one.is_settled,
    }
