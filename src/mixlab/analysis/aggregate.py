"""The tables of a study: every tidy score, the cells, the claimed effects, and where each number comes from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mixlab.analysis.cell_intervals import build_intervals, write_intervals, write_variance
from mixlab.analysis.cells import Cell, build_cells, write_cells, write_csv
from mixlab.analysis.effects import Effect, build_effects, comparison_id, write_effects
from mixlab.analysis.items import count_once
from mixlab.analysis.judge_bias import build_judge_bias, write_judge_bias
from mixlab.analysis.judge_runs import build_judge_runs, write_judge_runs
from mixlab.analysis.lengths import LENGTHS
from mixlab.analysis.lineage import Ancestor, build_lineage
from mixlab.analysis.pairwise import write_pairwise
from mixlab.analysis.ranking import build_rankings, write_rankings
from mixlab.analysis.relative import build_improvements, write_improvements
from mixlab.analysis.same_items import IMPROVED, RANKED, keep_same_items
from mixlab.analysis.study_tests import build_study_tests, write_study_tests
from mixlab.analysis.tidy import SAMPLE, SCHEMA
from mixlab.artifacts.keys import build_digest
from mixlab.config.analysis import AggregateSettings, ModelEntry
from mixlab.config.problems import DataError, Problem

if TYPE_CHECKING:
    import pandas as pd

_OPTIONAL = (*LENGTHS, SAMPLE)
_IDENTITY = ("stage", "variant_key", "base_model_key", "mixture_seed", "ipt_seed", "sft_seed")


def write_aggregate(
    settings: AggregateSettings,
    scores: Sequence[Path],
    mixtures: Mapping[str, Path],
    out: Path,
    *,
    ancestry: Mapping[str, Ancestor] | None = None,
    pairs: Mapping[str, Path] | None = None,
) -> None:
    """Gather the models' tidy scores into the study's tables.

    `scores`: folders written by `write_model_scores`, by the entries' positions. `mixtures`: mixture artifacts by
    key, each with its `certificate.json`. `ancestry`: what each key named in the rows was made from, for lineage.

    Writes `scores.parquet` and `scores.csv` (every row), `cells.csv` and `replicates.csv` (means, errors, counts),
    `intervals.csv`, `variance.csv` (95 % intervals of cells, variance components), where there is something to say
    `tests.csv` (every test of each effect), `relative.csv` (improvement by SFT) and `ranking.csv`,
    `effects.csv`, `unsolvable.csv` (items no model can solve), `metrics.json` (numbers for `dvc metrics`),
    `lineage.json` and `mixtures/KEY.json` (byte copies of the certificates), and where a model judged `judge_runs.csv`
    (means and counts of each judge run), where anything was judged `judge_bias.csv` (see `BiasFigure`). `pairs`:
    artifacts of pairwise judging by key, by the positions of `settings.pairs`; where there are some, `pairwise.csv` and
    `comparisons.csv` too. Raises DataError for a folder that says another model than the settings, a missing
    certificate, and for what `build_cells` refuses.
    """
    table = _read_scores(settings.models, scores)
    digests = _copy_certificates(table, mixtures, out)
    pq.write_table(table, out / "scores.parquet")
    pa_csv.write_csv(table, out / "scores.csv")
    frame = table.to_pandas()
    once = count_once(frame)
    cells = build_cells(frame, once)
    effects = build_effects(settings.comparisons, cells, frame)
    write_cells(cells, out)
    write_judge_runs(build_judge_runs(frame), out)
    write_judge_bias(build_judge_bias(once, settings.own_answers), out)
    write_pairwise(settings.pairs, pairs or {}, out)
    write_effects(effects, out)
    _write_statistics(settings, cells, effects, frame, out)
    _write_unsolvable([scores[entry.position] for entry in settings.models], out)
    _write_json(out / "metrics.json", _build_metrics(cells, effects))
    _write_json(out / "lineage.json", build_lineage(table, digests, ancestry or {}))


def _write_statistics(
    settings: AggregateSettings,
    cells: Sequence[Cell],
    effects: Sequence[Effect],
    frame: "pd.DataFrame",
    out: Path,
) -> None:
    """Write what follows from the cells: intervals, components of variance, tests, improvements, rankings."""
    write_intervals(build_intervals(cells), out)
    write_variance(frame, out)
    write_study_tests(build_study_tests(effects, frame), out)
    is_whole = bool(frame["score"].notna().all())
    improved, ranked = (
        cells if is_whole else build_cells(keep_same_items(frame, together)) for together in (IMPROVED, RANKED)
    )
    write_improvements(build_improvements(improved), out)
    write_rankings(build_rankings(ranked, {one.variant_key: one.base_model_key for one in settings.models}), out)


def _read_scores(entries: Iterable[ModelEntry], scores: Sequence[Path]) -> pa.Table:
    """Read every model's rows, models in order of what they are, so that the study's order decides nothing."""
    problems: list[Problem] = []
    tables = []
    for entry in sorted(entries, key=_order):
        if entry.position >= len(scores):
            message = f"position {entry.position} has no folder of scores; {len(scores)} were handed over"
            problems.append(Problem(message, key=entry.variant_key))
            continue
        path = scores[entry.position] / "scores.parquet"
        table = pq.read_table(path, schema=pa.schema([*SCHEMA, *_OPTIONAL]))
        for name in _IDENTITY:
            found = table[name].unique().to_pylist()
            if found != [getattr(entry, name)]:
                message = f"{name} is {found}, the study says {getattr(entry, name)}; rebuild these scores"
                problems.append(Problem(message, file=str(path)))
        tables.append(table)
    if problems:
        raise DataError(problems)
    gathered = pa.concat_tables(tables)
    # no column of nothing where no item has several samples, or nothing was judged
    return gathered.drop_columns([one.name for one in _OPTIONAL if gathered[one.name].null_count == len(gathered)])


def _order(entry: ModelEntry) -> tuple[str, str, list[int]]:
    seeds = (entry.mixture_seed, entry.ipt_seed, entry.sft_seed)
    return entry.variant_key, entry.stage, [-1 if seed is None else seed for seed in seeds]


def _copy_certificates(table: pa.Table, mixtures: Mapping[str, Path], out: Path) -> dict[str, str]:
    """Copy each certificate in use; return the digests by mixture key."""
    wanted = sorted(key for key in table["mixture_key"].unique().to_pylist() if key is not None)
    if missing := [key for key in wanted if key not in mixtures]:
        raise DataError(f"mixture {', '.join(missing)} made models but its certificate was not handed over")
    (out / "mixtures").mkdir()
    digests = {}
    for key in wanted:
        certificate = (mixtures[key] / "certificate.json").read_bytes()
        digests[key] = build_digest(certificate)
        (out / "mixtures" / f"{key}.json").write_bytes(certificate)
    return digests


def _write_unsolvable(folders: Iterable[Path], out: Path) -> None:
    """Gather the items that the scorers named as unsolvable, each once, with the number of models it met."""
    counts: dict[tuple[str, str, str], int] = {}
    for folder in folders:
        card = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        found = {
            (part["benchmark"], entry["item"], entry["reason"])
            for part in card["parts"]
            for entry in part["unsolvable"]
        }
        for item in found:
            counts[item] = counts.get(item, 0) + 1
    rows = [[*item, counts[item]] for item in sorted(counts)]
    write_csv(out / "unsolvable.csv", ["benchmark", "item", "reason", "models"], rows)


def _build_metrics(cells: Iterable[Cell], effects: Iterable[Effect]) -> dict[str, Any]:
    """Nest the numbers by variant, stage, benchmark; a number that is not known has no entry."""
    scores: dict[str, Any] = {}
    for cell in cells:
        place = scores.setdefault(cell.variant_key, {}).setdefault(cell.stage, {}).setdefault(cell.benchmark, {})
        estimate = cell.estimate
        place[cell.measure] = _without_none(
            mean=estimate.mean,
            se_seeds=estimate.se_seeds,
            se_items=estimate.se_items,
            n_seeds=estimate.n_seeds,
            unparsed=cell.n_unparsed,
        )
    measured = {
        comparison_id(effect.comparison): _without_none(
            difference=effect.result.difference,
            standard_error=effect.result.standard_error,
            ratio=effect.result.ratio,
            met=int(effect.result.verdict == "met"),
        )
        for effect in effects
    }
    return {"effects": measured, "scores": scores}


def _without_none(**numbers: float | None) -> dict[str, float]:
    return {name: number for name, number in numbers.items() if number is not None}


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
