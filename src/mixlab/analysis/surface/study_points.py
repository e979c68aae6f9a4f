"""The mixtures of a study and their scores as points of a surface: what is finished, and what is planned beside it.

Components are the cells of the instruction part (`en/math`) and `raw`, as shares of the whole mixture; where mixtures
of one base model compose the raw part differently, its parts take the place of `raw`. Ratios are those that
certificates state. Each base model has surfaces of its own, so mixtures are alike, or not, among those of one base
model: its budget is its own, and natural shares go by its tokenizer.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixlab.analysis.cells import Cell, build_cells
from mixlab.analysis.surface.budgets import TOLERANCE, describe_span, find_usual, is_alike
from mixlab.analysis.surface.mixtures_csv import MeasuredTarget
from mixlab.analysis.surface.points import ALIKE, Measurement, Target, build_points
from mixlab.artifacts.store import Store
from mixlab.config.axes import Axes
from mixlab.config.mixtures import MixtureSettings
from mixlab.config.study import Study
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import MixtureSpec, ReportSpec

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
class PlannedMixture:
    """A mixture of IPT: its shares, the variants it is of, and the base models that are trained on it."""

    shares: Shares
    variants: tuple[str, ...]
    base_models: tuple[str, ...]


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
    alike, unlike = leave_out_unlike(planned)
    components, splits_raw = name_components(
        [[planned[key].shares for key in keys] for keys in alike.values()],
    )
    ratios = {
        key: _order(one.shares, components, splits_raw)
        for key, one in planned.items()
        if any(key in keys for keys in alike.values()) and not (splits_raw and "" in one.shares.raw)
    }
    measured: dict[str, str] = {}
    targets: list[MeasuredTarget] = []
    if frame is not None:
        pairs = frame[["variant_key", "mixture_key"]].drop_duplicates().dropna()
        measured = {str(variant): str(key) for variant, key in pairs.itertuples(index=False)}
        chosen = _choose_cells(build_cells(frame), notes)
        bases = {one.variant_key: one.base_model for one in report.report.variants if one.base_model}
        own = {
            variant: ratios[key]
            for variant, key in measured.items()
            if key in ratios and key in alike.get(bases.get(variant, ""), ())
        }
        targets = _build_targets(report, chosen, components, own, bases)
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


def _list_planned(
    store: Store, plan: Plan, report: ReportSpec, aggregate: Node
) -> tuple[dict[str, PlannedMixture], list[str]]:
    """Return every mixture of IPT by key, and say whose shares are not known."""
    data = report.report.data
    found: dict[str, PlannedMixture] = {}
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
            found[shown.key] = PlannedMixture(shares, shown.variants, shown.base_models)
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


def leave_out_unlike(planned: Mapping[str, PlannedMixture]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Keep the keys of each base model's mixtures with its usual budget: others differ by more than ratios.

    Says who is left out and why, and which budgets count as one. A budget that is not known in units yet is taken for
    that of the others.
    """
    kept: dict[str, tuple[str, ...]] = {}
    notes = []
    bases = sorted({base for one in planned.values() for base in one.base_models})
    for base in bases:
        own = {key: one for key, one in planned.items() if base in one.base_models}
        budgets = {key: (one.shares.budget, one.shares.unit) for key, one in own.items()}
        usual = find_usual(budgets.values())
        on = f"on {base}: " if len(bases) > 1 else ""
        unlike = [key for key in own if usual is not None and budgets[key][1] and not is_alike(budgets[key], usual)]
        kept[base] = tuple(key for key in own if key not in unlike)
        for budget in sorted({budgets[key] for key in unlike}):
            names = _join([own[key] for key in unlike if budgets[key] == budget])
            said = f"{on}{names}: a budget of {describe_span([budget])}, not of {describe_span([usual or budget])}"
            notes.append(f"{said}, and so other than by ratios; left out")
        together = {budgets[key] for key in kept[base] if budgets[key][1]}
        if len(together) > 1:
            notes.append(f"{on}budgets of {describe_span(together)} count as one, within {TOLERANCE * 100:g} %")
    return kept, notes


def _join(mixtures: Iterable[PlannedMixture]) -> str:
    return ", ".join(f"'{name}'" for name in dict.fromkeys(name for one in mixtures for name in one.variants))


def name_components(mixtures: Iterable[Sequence[Shares]]) -> tuple[tuple[str, ...], bool]:
    """Name all components of each base model's mixtures; raw is one unless those of one compose it differently.

    Natural shares go by tokens, so that two tokenizers give one composition other shares.
    """
    groups = list(mixtures)
    found = [one for group in groups for one in group]
    cells = sorted({cell for one in found for cell in one.cells})
    parts = sorted({part for one in found for part in one.raw if part})
    if any(_composes_differently(group, parts) for group in groups):
        return (*(f"{RAW} {part}" for part in parts), *cells), True
    has_raw = any(one.raw for one in found)
    return ((RAW,) if has_raw else ()) + tuple(cells), False


def _composes_differently(mixtures: Sequence[Shares], parts: Sequence[str]) -> bool:
    named = [one.raw for one in mixtures if one.raw and "" not in one.raw]
    within = [tuple(raw.get(part, 0.0) / sum(raw.values()) for part in parts) for raw in named]
    return any(not _is_alike(within[0], other) for other in within[1:])


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
    report: ReportSpec,
    cells: Sequence[Cell],
    components: Sequence[str],
    ratios: Mapping[str, tuple[float, ...]],
    bases: Mapping[str, str],
) -> list[MeasuredTarget]:
    """`ratios`, `bases`: a variant's ratios and its base model, by the variant's key."""
    labels = {one.variant_key: one.label for one in report.report.variants}
    several = len(set(bases.values())) > 1
    rows: dict[Target, list[Measurement]] = {}
    for cell in cells:
        mixture = ratios.get(cell.variant_key)
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


def list_cells(study: Study) -> list[str]:
    """List the cells that instruction sources of a study can fill, as names of components."""
    used = {part for variant in study.variants.values() for part in variant.names()}
    expansion = study.expansion()
    names = {part for name in used for part in expansion.get(name, (name,))}
    sources = (source for name, source in study.parts().items() if name in names and source.kind == "instruction")
    return sorted({f"{source.language}/{source.category}" for source in sources})
