"""What may bend a judge's ratings: length, answers of its own model, chance between runs; and how it uses its scale.

Every figure is of one judge and one benchmark: judges are never mixed. Equal answers to a question share a verdict and
count once, whichever models gave them, except where models are compared.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixlab.analysis.cells import read_csv, write_csv
from mixlab.analysis.resampling import FEWEST, Measured, average, correlate, correlate_within
from mixlab.config.judging import RULE_LABEL

if TYPE_CHECKING:
    import pandas as pd

FILE = "judge_bias.csv"
LENGTH, WITHIN, FIFTH, TRUNCATED = "length", "length_within_items", "length_fifth", "truncated"
SHARE, UNREAD = "rating_share", "unread"
SPREAD, DIFFERING = "spread", "differing"
OWN = "self_preference"
_NAMES = ("lengths", "ratings")
_ANSWERED = ("generate_key", "variant_key", "stage")
_DECIMALS = 6


@dataclass(frozen=True)
class BiasFigure:
    """One figure, by its name in `figure`.

    * `length`: Spearman's correlation of rating and characters, over distinct answers. `length_within_items`: the same
      within the answers to one question. An answer's rating is the mean of its runs. `n` answers, of all distinct.
    * `length_fifth`: mean rating of a fifth of the answers by length, whose median characters are `at`.
    * `truncated`: share of distinct answers that ended at the limit of tokens.
    * `rating_share`: share of the rating `at`, to the next whole one, among distinct verdicts that hold a rating.
      `unread`: share of distinct verdicts that hold none.
    * `spread`: standard deviation between judge runs of one answer (root of the mean variance, n - 1). `differing`:
      share of answers whose rating is not the same in all runs. Both over the `n` answers that each run rated.
    * `self_preference`: mean rating of a point whose model is the judge, minus the even mean of the points of its stage
      that are not, over the `n` items that both have ratings of. A served model is compared with other served ones and
      with those after SFT, or before it where none is tuned.

    `low` and `high` bound 95 % of resamples of items. What cannot be had is None, and `note` says why.
    """

    judge: str
    benchmark: str
    figure: str
    variant_key: str = ""
    stage: str = ""
    at: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    of: int = 0
    n_items: int = 0
    note: str = ""


def build_judge_bias(frame: "pd.DataFrame", own: Collection[tuple[str, str]]) -> list[BiasFigure]:
    """Measure each judge on each benchmark in tidy rows; `own`: variant key and stage of what is the judge's model.

    A rule says the same in every run and is no model: it has no spread and no answers of its own.
    """
    rated = frame[(frame["measure"] == "judge_score") & frame["judge"].notna()]
    figures: list[BiasFigure] = []
    groups: Any = rated.groupby(["judge", "benchmark"], sort=True)
    for (judge, benchmark), rows in groups:
        blank = BiasFigure(judge, benchmark, "", n_items=int(rows["item"].nunique()))
        answers = list_answers(rows)
        figures += [*_measure_lengths(blank, answers), *_measure_scale(blank, rows)]
        if judge != RULE_LABEL:
            figures += _measure_runs(blank, answers, int(rows["judge_run"].nunique()))
            figures += _measure_own(blank, rows, own)
    return figures


def list_answers(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row per distinct answer of one benchmark: its rating over runs, and its length where that is known."""
    known = {
        name: rows[column].astype(float) if column in rows else np.nan
        for name, column in (("characters", "response_characters"), ("truncated", "truncated"))
    }
    ordered = rows.assign(name=_name_verdicts(rows), **known).sort_values("judge_run", kind="stable")
    answers = ordered.groupby(["item", "turn", *_ANSWERED], sort=True).agg(
        name=("name", "first"),
        rating=("score", "mean"),
        deviation=("score", "std"),
        lowest=("score", "min"),
        highest=("score", "max"),
        n_read=("score", "count"),
        n_verdicts=("score", "size"),
        characters=("characters", "first"),
        truncated=("truncated", "first"),
    )
    return answers.reset_index().drop_duplicates(["item", "turn", "name"], ignore_index=True)


def _name_verdicts(rows: "pd.DataFrame") -> "pd.Series[str]":
    """Names that equal answers share within a question and run."""
    return rows["verdict_id"].where(rows["verdict_id"].notna(), rows["generate_key"])


def _measure_lengths(blank: BiasFigure, answers: "pd.DataFrame") -> Iterator[BiasFigure]:
    known = answers[answers["rating"].notna() & answers["characters"].notna()]
    blank = replace(blank, of=len(answers))
    x, y = (known[name].to_numpy(float) for name in ("characters", "rating"))
    items, questions = (known.groupby(names).ngroup().to_numpy() for names in (["item"], ["item", "turn"]))
    over = correlate(x, y, items, _NAMES)
    within = correlate_within(x, y, questions, items, _NAMES)
    if not answers["characters"].notna().any():
        over = within = Measured(note="lengths of answers are not known")
    yield _fill(replace(blank, figure=LENGTH, n=len(known)), over)
    shared = int((np.bincount(questions)[questions] > 1).sum()) if len(known) else 0
    yield _fill(replace(blank, figure=WITHIN, n=shared), within)
    yield from _measure_fifths(blank, known)
    told = answers["truncated"].dropna()
    value = round(float(told.mean()), _DECIMALS) if len(told) else None
    note = "" if len(told) else "how answers ended is not known"
    yield replace(blank, figure=TRUNCATED, value=value, n=int(told.sum()), of=len(told), note=note)


def _measure_fifths(blank: BiasFigure, known: "pd.DataFrame") -> Iterator[BiasFigure]:
    """Equal lengths are in one fifth, so that fifths may differ in size."""
    if len(known) < FEWEST:
        return
    ranks = known["characters"].rank(method="average")
    fifths = np.minimum(4, np.floor(5 * (ranks - 0.5) / len(known)))
    for _, part in known.groupby(fifths, sort=True):
        value = round(float(part["rating"].mean()), _DECIMALS)
        yield replace(blank, figure=FIFTH, at=float(part["characters"].median()), value=value, n=len(part))


def _measure_scale(blank: BiasFigure, rows: "pd.DataFrame") -> Iterator[BiasFigure]:
    distinct = rows.assign(name=_name_verdicts(rows)).drop_duplicates(["judge_run", "item", "turn", "name"])
    ratings = distinct["score"].dropna().to_numpy(float)
    counts = np.bincount(np.floor(ratings + 0.5).astype(int), minlength=11)
    for rating in range(1, 11):
        count = int(counts[rating])
        value = round(count / len(ratings), _DECIMALS) if len(ratings) else None
        note = "" if len(ratings) else "no verdict holds a rating"
        yield replace(blank, figure=SHARE, at=float(rating), value=value, n=count, of=len(ratings), note=note)
    unread = len(distinct) - len(ratings)
    yield replace(blank, figure=UNREAD, value=round(unread / len(distinct), _DECIMALS), n=unread, of=len(distinct))


def _measure_runs(blank: BiasFigure, answers: "pd.DataFrame", runs: int) -> Iterator[BiasFigure]:
    whole = answers[answers["n_read"] == runs]
    blank = replace(blank, n=len(whole), of=len(answers))
    if runs < 2 or whole.empty:
        note = "no answer was rated in all runs" if runs > 1 else "one judge run: no spread"
        yield from (replace(blank, figure=figure, note=note) for figure in (SPREAD, DIFFERING))
        return
    spread = float(np.sqrt((whole["deviation"].to_numpy(float) ** 2).mean()))
    differing = float((whole["highest"] > whole["lowest"]).mean())
    yield replace(blank, figure=SPREAD, value=round(spread, _DECIMALS))
    yield replace(blank, figure=DIFFERING, value=round(differing, _DECIMALS))


def _measure_own(blank: BiasFigure, rows: "pd.DataFrame", own: Collection[tuple[str, str]]) -> Iterator[BiasFigure]:
    """Within an item answers count evenly, then the models of a point, then the other points."""
    points = ["variant_key", "stage"]
    models = rows.groupby([*points, "model_key", "item"], sort=True)["score"].mean()
    items = models.groupby(level=[*points, "item"], sort=True).mean().unstack("item")
    is_own = items.index.isin(list(own))
    stages = items.index.get_level_values("stage")
    last = "after_sft" if "after_sft" in stages else "before_sft"
    named: Any = items[is_own].iterrows()
    for (variant_key, stage), ratings in named:
        is_other = ~is_own & stages.isin([stage, last] if stage == "served" else [stage])
        apart = (ratings - items[is_other].mean(axis=0)).dropna()
        note = "no item with ratings of both" if is_other.any() else "no other model of its stage to compare with"
        measured = average(apart.to_numpy(float)) if len(apart) else Measured(note=note)
        figure = replace(blank, figure=OWN, variant_key=str(variant_key), stage=str(stage), n=len(apart))
        yield _fill(replace(figure, of=items.shape[1]), measured)


def _fill(figure: BiasFigure, measured: Measured) -> BiasFigure:
    return replace(figure, value=measured.value, low=measured.low, high=measured.high, note=measured.note)


def write_judge_bias(figures: Sequence[BiasFigure], out: Path) -> None:
    """Write `judge_bias.csv`, a row per figure; empty means not known. Where nothing was judged there is no file."""
    names = [field.name for field in fields(BiasFigure)]
    if figures:
        write_csv(out / FILE, names, [[getattr(one, name) for name in names] for one in figures])


def read_judge_bias(aggregate: Path) -> list[BiasFigure]:
    """Read back what `write_judge_bias` wrote; empty where nothing was judged."""
    if not (aggregate / FILE).exists():
        return []
    return [
        BiasFigure(
            judge=row["judge"],
            benchmark=row["benchmark"],
            figure=row["figure"],
            variant_key=row["variant_key"],
            stage=row["stage"],
            at=_read_number(row["at"]),
            value=_read_number(row["value"]),
            low=_read_number(row["low"]),
            high=_read_number(row["high"]),
            n=int(row["n"]),
            of=int(row["of"]),
            n_items=int(row["n_items"]),
            note=row["note"],
        )
        for row in read_csv(aggregate / FILE)
    ]


def _read_number(text: str) -> float | None:
    return float(text) if text else None
