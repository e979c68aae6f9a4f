"""The mixtures of a study and their scores as points of a surface: what is finished, and what is planned beside it.

Components are the cells of the instruction part (`en/math`) and `raw`, as shares of the whole mixture; where mixtures
compose the raw part differently, its parts take the place of `raw`. Ratios are those that certificates state.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixlab.analysis.cells import Cell, build_cells
from mixlab.analysis.surface.mixtures_csv import MeasuredTarget
from mixlab.analysis.surface.points import ALIKE, Measurement, Target, build_points
from mixlab.artifacts.store import Store
from mixlab.config.axes import Axes
from mixlab.config.mixtures import MixtureSettings
from mixlab.config.study import Study
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import AggregateSpec, MixtureSpec, ReportSpec

if TYPE_CHECKING:
    import pandas as pd

RAW = "raw"
BEFORE, AFTER = "before_sft", "after_sft"
_WORDS = {BEFORE: "before SFT", AFTER: "after SFT"}


@dataclass(frozen=True)
class Shares:
    """A mixture by the shares of the whole: of cells, and of the parts of its raw part."""

    cells: Mapping[str, float]
    raw: Mapping[str, float]
    budget: int
    unit: str
    in_phases: bool


@dataclass(frozen=True)
class StudyPoints:
    """What a study says. `pending`: ratios of mixtures that are planned and have no scores yet.

    `splits_raw`: raw parts are components of their own. `notes`: what was left out, and what noise is.
    """

    components: tuple[str, ...]
    targets: tuple[MeasuredTarget, ...]
    pending: tuple[tuple[float, ...], ...]
    splits_raw: bool
    notes: tuple[str, ...]


def read_study_points(store: Store, plan: Plan, study: str) -> StudyPoints:
    """Read the finished scores of a study; none of them may be there, and then there are no targets.

    Raises ArtifactError for a damaged artifact, DataError for scores that cannot be compared.
    """
    report, aggregate = _find_tables(plan, study)
    frame = _read_frame(store, plan, aggregate)
    planned, notes = _list_planned(store, plan, report, aggregate)
    planned, unlike = _leave_out_unlike(planned)
    components, splits_raw = _name_components(planned.values())
    ratios = {
        key: _order(shares, components, splits_raw)
        for key, shares in planned.items()
        if not (splits_raw and "" in shares.raw)
    }
    measured: dict[str, str] = {}
    targets: list[MeasuredTarget] = []
    if frame is not None:
        pairs = frame[["variant_key", "mixture_key"]].drop_duplicates().dropna()
        measured = {str(variant): str(key) for variant, key in pairs.itertuples(index=False)}
        chosen = _choose_cells(build_cells(frame), notes)
        targets = _build_targets(plan, report, aggregate, chosen, components, ratios, measured)
    done = {ratios[key] for key in measured.values() if key in ratios}
    pending = [one for one in dict.fromkeys(ratios.values()) if not any(_is_alike(one, other) for other in done)]
    return StudyPoints(components, tuple(targets), tuple(pending), splits_raw, (*notes, *unlike))


def _find_tables(plan: Plan, study: str) -> tuple[ReportSpec, Node]:
    (node,) = (plan.nodes[key] for key in plan.targets[study] if plan.nodes[key].stage == "report")
    if not isinstance(node.spec, ReportSpec):
        raise TypeError(f"expected a report, got {node.stage}")
    return node.spec, plan.nodes[node.parents["aggregate"][0]]


def _read_frame(store: Store, plan: Plan, aggregate: Node) -> "pd.DataFrame | None":
    """Join the scores of every model that is finished here; None where none is."""
    import pandas as pd

    if store.is_complete(*aggregate.name):
        return pd.read_parquet(store.open(*aggregate.name) / "scores.parquet")
    nodes = [plan.nodes[key] for key in aggregate.parents["scores"]]
    folders = [store.open(*node.name) for node in nodes if store.is_complete(*node.name)]
    return pd.concat([pd.read_parquet(one / "scores.parquet") for one in folders]) if folders else None


def _list_planned(store: Store, plan: Plan, report: ReportSpec, aggregate: Node) -> tuple[dict[str, Shares], list[str]]:
    """Return the shares of every mixture of IPT by key, and say whose are not known."""
    data = report.report.data
    found: dict[str, Shares] = {}
    notes = []
    copies = store.open(*aggregate.name) / "mixtures" if store.is_complete(*aggregate.name) else None
    for shown in data.mixtures if data is not None else ():
        if not shown.variants:
            continue
        node = plan.nodes[shown.key]
        shares = _read_shares(store, node, copies)
        if shares is None:
            notes.append(f"'{shown.label}': its natural shares are not known before the mixture is made; left out")
        elif shares.in_phases:
            notes.append(f"'{shown.label}': its ratios change in phases; left out")
        else:
            found[shown.key] = shares
    return found, notes


def _read_shares(store: Store, node: Node, copies: Path | None) -> Shares | None:
    copy = copies / f"{node.key}.json" if copies is not None else None
    if copy is not None and copy.is_file():
        return read_certificate_shares(json.loads(copy.read_text(encoding="utf-8")))
    if store.is_complete(*node.name):
        text = (store.open(*node.name) / "certificate.json").read_text(encoding="utf-8")
        return read_certificate_shares(json.loads(text))
    return read_settings_shares(node.spec.mixture) if isinstance(node.spec, MixtureSpec) else None


def read_certificate_shares(certificate: Mapping[str, Any]) -> Shares:
    """Return the shares that a certificate states: those that could be met, where they differ from those asked for."""
    axes = {name: _feasible(columns) for name, columns in certificate["axes"].items()}
    instruction = axes["instruction"].get("instruction", 0.0)
    raw = {part: ratio * (1 - instruction) for part, ratio in axes["raw"].items() if ratio}
    cells = {cell: ratio * instruction for cell, ratio in axes["cells"].items() if ratio and instruction}
    if not raw and instruction < 1:
        raw = {RAW: 1 - instruction}
    budget, unit = int(certificate["budget"]), str(certificate["unit"])
    return Shares(cells, raw if instruction < 1 else {}, budget, unit, "phases" in certificate)


def _feasible(columns: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    ratios = columns.get("feasible_ratio", columns["requested_ratio"])
    return {part: float(Fraction(ratio)) for part, ratio in zip(columns["part"], ratios, strict=True)}


def read_settings_shares(settings: MixtureSettings) -> Shares | None:
    """Return the shares that settings state before anything is made; None where an axis is natural.

    The parts of the raw part are known where it is one: of several the names are those of a certificate.
    """
    axes: Axes = settings
    if isinstance(axes.instruction, str):
        return None
    instruction = float(axes.instruction)
    cells: Mapping[str, Fraction] = {}
    if axes.cells is not None:
        cells = axes.cells
    elif instruction and not isinstance(axes.language, str) and not isinstance(axes.category, str):
        cells = {f"{one}/{other}": a * b for one, a in axes.language.items() for other, b in axes.category.items()}
    elif instruction:
        here = {source.cell for source in settings.sources if source.kind == "instruction"}
        if len(here) != 1:
            return None
        cells = {next(iter(here)): Fraction(1)}
    raw = {"": 1 - instruction} if instruction < 1 else {}
    budget = settings.budget
    count = budget.tokens or budget.samples or budget.windows or 0
    return Shares(
        {cell: float(ratio) * instruction for cell, ratio in cells.items()},
        raw,
        count,
        budget.unit if budget.windows is None and budget.epochs is None else "",
        bool(settings.phases),
    )


def _leave_out_unlike(planned: Mapping[str, Shares]) -> tuple[dict[str, Shares], list[str]]:
    """Keep the mixtures with the most frequent budget: others differ by more than ratios.

    A budget that is not known in units yet is taken for that of the others.
    """
    budgets = Counter((one.budget, one.unit) for one in planned.values() if one.unit)
    if len(budgets) < 2:
        return dict(planned), []
    usual = max(sorted(budgets), key=lambda one: budgets[one])
    kept = {key: one for key, one in planned.items() if not one.unit or (one.budget, one.unit) == usual}
    count = len(planned) - len(kept)
    said = "mixtures have another budget" if count > 1 else "mixture has another budget"
    return kept, [f"{count} {said} than {usual[0]} {usual[1]}, which more than ratios tells apart; left out"]


def _name_components(mixtures: Iterable[Shares]) -> tuple[tuple[str, ...], bool]:
    """Name all components; raw is one unless mixtures compose it differently."""
    found = list(mixtures)
    cells = sorted({cell for one in found for cell in one.cells})
    named = [one.raw for one in found if one.raw and "" not in one.raw]
    parts = sorted({part for raw in named for part in raw})
    within = [tuple(raw.get(part, 0.0) / sum(raw.values()) for part in parts) for raw in named]
    splits = any(not _is_alike(within[0], other) for other in within[1:])
    if splits:
        return (*(f"{RAW} {part}" for part in parts), *cells), True
    has_raw = any(one.raw for one in found)
    return ((RAW,) if has_raw else ()) + tuple(cells), False


def _order(shares: Shares, components: Sequence[str], splits_raw: bool) -> tuple[float, ...]:
    raw = {f"{RAW} {part}": ratio for part, ratio in shares.raw.items()} if splits_raw else {}
    named = {**shares.cells, **(raw or {RAW: sum(shares.raw.values())})}
    total = sum(named.get(name, 0.0) for name in components)
    return tuple(named.get(name, 0.0) / total for name in components)


def _is_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    return max((abs(a - b) for a, b in zip(one, other, strict=True)), default=0.0) <= ALIKE


def _choose_cells(cells: Sequence[Cell], notes: list[str]) -> list[Cell]:
    """Keep models of a mixture before SFT, and those tuned in the study's own way; others share their mixtures."""
    own = {cell.variant_key for cell in cells if cell.stage == BEFORE}
    kept = [cell for cell in cells if cell.stage == BEFORE or (cell.stage == AFTER and cell.variant_key in own)]
    others = {cell.variant_key for cell in cells if cell.stage == AFTER} - own
    if others:
        notes.append(f"{len(others)} points of further ways of fine-tuning, or of epochs, share mixtures; left out")
    levels = sorted({cell.estimate.seed_level for cell in kept if cell.estimate.seed_level})
    if kept:
        told = f"noise is that between {' and '.join(levels)}s" if levels else "one seed of each: noise is not known"
        notes.append(told)
    return kept


def _build_targets(
    plan: Plan,
    report: ReportSpec,
    aggregate: Node,
    cells: Sequence[Cell],
    components: Sequence[str],
    ratios: Mapping[str, tuple[float, ...]],
    measured: Mapping[str, str],
) -> list[MeasuredTarget]:
    labels = {one.variant_key: one.label for one in report.report.variants}
    bases = _name_bases(plan, aggregate)
    several = len(set(bases.values())) > 1
    rows: dict[Target, list[Measurement]] = {}
    for cell in cells:
        mixture = ratios.get(measured.get(cell.variant_key, ""))
        if mixture is None or cell.estimate.mean is None:
            continue
        base = f" on {bases[cell.variant_key]}" if several else ""
        measure = "" if cell.measure in ("accuracy", "judge_score") else f" {cell.measure}"
        target = Target(f"{cell.benchmark}{measure}, {_WORDS[cell.stage]}{base}", cell.language)
        runs = max(1, cell.estimate.n_seeds)
        error = cell.estimate.se_seeds if runs > 1 else None
        label = labels.get(cell.variant_key, cell.variant_key)
        rows.setdefault(target, []).append(Measurement(label, mixture, cell.estimate.mean, error, runs))
    return [MeasuredTarget(target, build_points(components, some)) for target, some in rows.items()]


def _name_bases(plan: Plan, aggregate: Node) -> dict[str, str]:
    """Map variant keys to names of base models."""
    if not isinstance(aggregate.spec, AggregateSpec):
        raise TypeError(f"expected an aggregate, got {aggregate.stage}")
    entries = aggregate.spec.aggregate.models
    return {
        one.variant_key: plan.nodes[one.base_model_key].label.rpartition("/")[2]
        for one in entries
        if one.base_model_key in plan.nodes
    }


def list_cells(study: Study) -> list[str]:
    """List the cells that instruction sources of a study can fill, as names of components."""
    used = {part for variant in study.variants.values() for part in variant.names()}
    expansion = study.expansion()
    names = {part for name in used for part in expansion.get(name, (name,))}
    sources = (source for name, source in study.parts().items() if name in names and source.kind == "instruction")
    return sorted({f"{source.language}/{source.category}" for source in sources})
