"""What the report reads: an aggregate's tables, joined with the labels that people use."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mixlab.analysis.cells import Cell, group_cells, read_cells, read_csv
from mixlab.analysis.effects import read_effects
from mixlab.analysis.judge_bias import BiasFigure, read_judge_bias
from mixlab.analysis.judge_runs import JudgeRun, read_judge_runs
from mixlab.analysis.pairwise import PairCell, PairName, read_pair_cells, read_pair_keys
from mixlab.analysis.statistics import Estimate
from mixlab.analysis.statistics_tables import read_statistics
from mixlab.config.analysis import BenchmarkGroup, ReportSettings, Selection, VariantLabel
from mixlab.data.mixtures.certificate_rows import read_certificate
from mixlab.report.tables import name_cell

STAGE_ORDER = ("before_sft", "after_sft", "served")
UNNAMED_JUDGE = "judge not named"


@dataclass(frozen=True)
class Numbers:
    """An aggregate as the report sees it.

    `variants`: in order of display, those without a label last, under their keys. `groups`: the main table's columns.
    `source_names`: names of a mixture's sources by its key, by position; a mixture that nobody named has none.
    `pair_keys`: the artifacts of comparisons behind a pair cell. `statistics`: rows of tests, ranking, relative,
    intervals and variance, see `read_statistics`.
    """

    variants: tuple[VariantLabel, ...]
    groups: tuple[BenchmarkGroup, ...]
    cells: tuple[Cell, ...]
    effects: dict[str, dict[str, str]]
    unsolvable: list[dict[str, str]]
    certificates: dict[str, dict[str, Any]]
    lineage: dict[str, Any]
    source_names: dict[str, tuple[str, ...]]
    judge_runs: tuple[JudgeRun, ...] = ()
    judge_bias: tuple[BiasFigure, ...] = ()
    pair_cells: tuple[PairCell, ...] = ()
    pair_keys: Mapping[PairName, tuple[str, ...]] = field(default_factory=dict)
    statistics: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def select(self, variant_key: str, stage: str) -> list[Cell]:
        """The cells of one variant before or after SFT."""
        return list(self._points.get((variant_key, stage), ()))

    def ran(self, stage: str) -> list[Cell]:
        """One cell of each benchmark and measure that any variant has at a stage, in their order."""
        return self._ran.get(stage, [])

    def estimate(self, variant_key: str, stage: str, group: Selection) -> Estimate | None:
        """The mean over a group of benchmarks, None when none of them was run."""
        found = group_cells(self.select(variant_key, stage), group)
        return found.estimate if found else None

    def cells_of(self, variant_key: str, stage: str, group: Selection) -> tuple[str, ...]:
        """Name the cells that `estimate` averages, as `Shown.of` takes them."""
        chosen = [
            cell
            for cell in self.select(variant_key, stage)
            if group.selects(cell.measure, cell.benchmark, cell.category, cell.language)
        ]
        return tuple(name_cell(variant_key, stage, cell.benchmark, cell.measure) for cell in chosen)

    def cells_named(
        self, variant_key: str, stages: Sequence[str], benchmarks: Sequence[str], measure: str
    ) -> list[str]:
        """Name the cells that a variant has of these stages and benchmarks, as `Shown.of` takes them."""
        named = (name_cell(variant_key, stage, name, measure) for name in benchmarks for stage in stages)
        return [one for one in named if one in self._names]

    @cached_property
    def _points(self) -> dict[tuple[str, str], list[Cell]]:
        points: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.cells:
            points.setdefault((cell.variant_key, cell.stage), []).append(cell)
        return points

    @cached_property
    def _ran(self) -> dict[str, list[Cell]]:
        first: dict[tuple[str, str, str], Cell] = {}
        for cell in sorted(self.cells, key=lambda cell: (cell.benchmark, cell.measure)):
            first.setdefault((cell.stage, cell.benchmark, cell.measure), cell)
        return {stage: [cell for cell in first.values() if cell.stage == stage] for stage in STAGE_ORDER}

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(name_cell(one.variant_key, one.stage, one.benchmark, one.measure) for one in self.cells)

    def stages(self) -> list[str]:
        """The stages that any model was scored at, before SFT first."""
        return [stage for stage in STAGE_ORDER if any(cell.stage == stage for cell in self.cells)]

    def stages_of(self, variant_key: str) -> list[str]:
        """The stages that a variant was scored at; a way of fine-tuning has none before SFT."""
        found = {cell.stage for cell in self.cells if cell.variant_key == variant_key}
        return [stage for stage in self.stages() if stage in found or not found]

    def judges(self, selection: Selection | None = None) -> list[str]:
        """The names of the judges, as they are to be printed wherever their scores are; of a group, or of all."""
        rated = [cell for cell in self.cells if cell.measure == "judge_score"]
        if selection is not None:
            rated = [one for one in rated if selection.selects(one.measure, one.benchmark, one.category, one.language)]
        return sorted({cell.judge or UNNAMED_JUDGE for cell in rated})

    def label(self, variant_key: str) -> str:
        """The label of a variant; several labels of one point are joined."""
        return " = ".join(one.label for one in self.variants if one.variant_key == variant_key)


def load_numbers(settings: ReportSettings, aggregate: Path) -> Numbers:
    """Read the folder that `write_aggregate` wrote."""
    cells = tuple(read_cells(aggregate))
    labelled = {variant.variant_key for variant in settings.variants}
    others = sorted({cell.variant_key for cell in cells} - labelled)
    lineage: dict[str, Any] = json.loads((aggregate / "lineage.json").read_text(encoding="utf-8"))
    return Numbers(
        variants=(*settings.variants, *(VariantLabel(label=key, variant_key=key) for key in others)),
        groups=settings.groups or build_groups(cells),
        cells=cells,
        effects=read_effects(aggregate),
        unsolvable=read_csv(aggregate / "unsolvable.csv"),
        certificates={
            key: read_certificate(aggregate / "mixtures" / f"{key}.json") for key in sorted(lineage["mixtures"])
        },
        lineage=lineage,
        source_names={mixture.key: mixture.sources for mixture in settings.data.mixtures} if settings.data else {},
        judge_runs=tuple(read_judge_runs(aggregate)),
        judge_bias=tuple(read_judge_bias(aggregate)),
        pair_cells=tuple(read_pair_cells(aggregate)),
        pair_keys=read_pair_keys(aggregate),
        statistics=read_statistics(aggregate),
    )


def build_groups(cells: tuple[Cell, ...]) -> tuple[BenchmarkGroup, ...]:
    """The default columns for accuracy: all, each category, each language; one that repeats another is left out."""
    scored = {(cell.benchmark, cell.category, cell.language) for cell in cells if cell.measure == "accuracy"}
    candidates = [BenchmarkGroup(label="all")] if scored else []
    categories = sorted({category for _, category, _ in scored if category})
    candidates += [BenchmarkGroup(label=category, categories=(category,)) for category in categories]
    languages = sorted({language for _, _, language in scored} - set(categories))
    candidates += [BenchmarkGroup(label=language, languages=(language,)) for language in languages]
    groups: dict[frozenset[str], BenchmarkGroup] = {}
    for group in candidates:
        members = frozenset(name for name, cat, lang in scored if group.selects("accuracy", name, cat, lang))
        groups.setdefault(members, group)
    return tuple(groups.values())
