"""What the numbers allow to be said: tests of the stated effects, rankings, improvement by SFT, variance."""

from collections.abc import Mapping, Sequence

from mixlab.analysis.cell_intervals import INTERVAL_HEADER, VARIANCE_HEADER
from mixlab.analysis.effects import comparison_id
from mixlab.analysis.ranking import HEADER as RANKING_HEADER
from mixlab.analysis.relative import HEADER as RELATIVE_HEADER
from mixlab.analysis.study_tests import HEADER as TESTS_HEADER
from mixlab.config.analysis import EffectSettings, ReportSettings
from mixlab.report.claims import list_behind
from mixlab.report.numbers import Numbers
from mixlab.report.primary import ALPHA
from mixlab.report.tables import Column, Section, Sentence, Shown, Table, say, sum_up
from mixlab.report.text import STAGES, UNKNOWN, render_p, render_score

TESTS = {
    "paired_t": "paired t",
    "welch_t": "Welch's t",
    "pooled_t": "Student's t",
    "hierarchical_bootstrap": "hierarchical bootstrap",
    "mixed_model": "mixed model",
    "mcnemar": "McNemar",
    "item_bootstrap": "bootstrap over items",
    "kodama_oda_t": "t test of all judgings (Kodama-Oda)",
}
TESTS_ANCHOR = "every-test"
"""The table of tests on the page."""
TESTS_NOTE = (
    "“These models”: seeds of SFT vary, the IPT runs are what they are. “This recipe”: IPT runs vary; it needs two. "
    "p is two-sided; Holm and Benjamini-Hochberg correct it over all effects of the study that could be tested at that "
    "level by that test. The primary test was fixed before any number was seen. False alarms are a simulation's, "
    "at the noise of its table and not at this study's: those of t tests hold for any noise that both "
    "sides share, those of "
    "the bootstrap, of the mixed model and of all judgings do not, so that these decide nothing. Limits are 95 %, not "
    "corrected."
)
RANKING_NOTE = (
    "Each mixture is compared with each other one of its base model by the primary test, corrected by Holm over all "
    "pairs; “not told from the best”: that p is at least 5 %. It does not mean equal. “Best” is only what another was "
    "told to be behind; else a mean is the highest, and nothing more. Equal means share a rank, and the next counts "
    "all before it: 1, 1, 3."
)
RELATIVE_NOTE = (
    "after / before − 1. “Of averages” divides averages over benchmarks, “average of” averages the improvements of "
    "each. Limits are 95 %, over the seeds of the level."
)
VARIANCE_NOTE = (
    "Standard deviations from mean squares, on the measure's own scale. A product with the item is what that seed does "
    "to single questions; the residual is one score's own noise."
)


def build_statistics_section(settings: ReportSettings, numbers: Numbers) -> Section:
    """Build the part on statistics; empty where the aggregate has none."""
    found = numbers.statistics
    tables = []
    if found.get("tests") and settings.effects:
        tables.append(_build_tests(settings, numbers, found["tests"]))
    if found.get("ranking"):
        tables.append(_build_ranking(numbers, found["ranking"]))
    if found.get("relative"):
        tables.append(_build_relative(numbers, found["relative"]))
    if found.get("intervals"):
        tables.append(_build_intervals(numbers, found["intervals"]))
    if found.get("variance"):
        tables.append(_build_variance(numbers, found["variance"]))
    sentences: list[str | Sentence] = [*_summarise(settings, numbers, found.get("tests", []))]
    if tables and numbers.judges():
        sentences.append(f"Judge scores are by {', '.join(numbers.judges())}.")
    return Section("statistics", "Statistics", sentences, tables=tables)


def _summarise(settings: ReportSettings, numbers: Numbers, tests: Sequence[Mapping[str, str]]) -> list[Sentence]:
    """Say at each level how many effects were told from nothing."""
    keys = settings.variant_keys()
    named: dict[str, list[EffectSettings]] = {}
    for effect in settings.effects:
        named.setdefault(comparison_id(effect.to_comparison(keys)), []).append(effect)

    def count(text: str, rows: Sequence[Mapping[str, str]]) -> Shown:
        effects = [effect for row in rows for effect in named.get(row["effect"], ())]
        return sum_up(text, list_behind(effects, keys, numbers), TESTS_ANCHOR)

    sentences = []
    for level in ("these models", "this recipe"):
        primary = [row for row in tests if row["level"] == level and row["role"] == "primary"]
        tested, others = ([row for row in primary if bool(row["p_holm"]) is one] for one in (True, False))
        if not primary or not settings.effects:
            continue
        told = sum(float(row["p_holm"]) < ALPHA for row in tested)
        begins = f"Claims about {level}: "
        if tested:
            of = count(f"{told} of {len(tested)}", tested)
            holm, rest = count(str(len(tested)), tested), count(str(len(others)), others)
            told_from = " tested differences are told from 0 (primary test, Holm over "
            sentences.append(say(begins, of, told_from, holm, "); ", rest, " not estimable."))
        else:
            every = count(str(len(primary)), primary)
            sentences.append(say(f"{begins}not estimable, for all ", every, " differences."))
    return sentences


def _build_tests(settings: ReportSettings, numbers: Numbers, tests: Sequence[Mapping[str, str]]) -> Table:
    columns = [Column("Claim", "long"), Column("About"), Column("Test"), Column("Role", "short"), Column("n", "number")]
    columns += [Column(name, "number") for name in ("Difference", "95 % limits", "df", "p", "p Holm", "p BH")]
    columns += [
        Column("Hedges' g", "number"),
        Column("False alarms at the table's noise, %", "number"),
        Column("Note", "long"),
    ]
    keys = settings.variant_keys()
    rows, records, origins = [], [], []
    for effect in settings.effects:
        name = comparison_id(effect.to_comparison(keys))
        behind = list_behind([effect], keys, numbers)
        for row in (one for one in tests if one["effect"] == name):
            told = bool(row["p_holm"]) and float(row["p_holm"]) < ALPHA and row["role"] == "primary"
            rows.append(
                [
                    Shown(effect.name),
                    Shown(row["level"], tone="muted"),
                    Shown(TESTS[row["test"]]),
                    Shown(row["role"], tone="good" if told else "" if row["role"] == "primary" else "muted"),
                    Shown(f"{row['n_variant']} and {row['n_against']}"),
                    Shown(render_score(effect.measure, _number(row["difference"]))),
                    Shown(_show_limits(effect.measure, row)),
                    Shown(_show(row["df"], ".1f")),
                    *(Shown(_show_p(row[one])) for one in ("p", "p_holm", "p_bh")),
                    Shown(_show(row["effect_size"], ".2f")),
                    Shown(_show_percent(row["simulated_level"])),
                    Shown(row["note"], tone="muted"),
                ]
            )
            records.append([effect.name, effect.variant, effect.against, *(row[name] for name in TESTS_HEADER)])
            origins.append(behind)
    header = ["name", "variant", "against", *TESTS_HEADER]
    title = "Tests of the stated effects"
    return Table("tests", title, tuple(columns), rows, header, records, TESTS_NOTE, TESTS_ANCHOR, origins=origins)


def _build_ranking(numbers: Numbers, ranking: Sequence[Mapping[str, str]]) -> Table:
    columns = [Column("Stage"), Column("Measured on", "long"), Column("About"), Column("Rank", "number")]
    columns += [Column("Mixture"), *(Column(name, "number") for name in ("Mean", "n", "Behind the best", "p Holm"))]
    columns += [Column("Standing", "short"), Column("Note", "long")]
    best: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in ranking:
        best.setdefault(_name_contest(row), []).extend([row] if row["rank"] == "1" else [])
    rows = []
    for row in ranking:
        measure, compared = row["measure"], [row, *best[_name_contest(row)]]
        both = tuple(dict.fromkeys(cell for one in compared for cell in _list_cells(numbers, one)))
        rows.append(
            [
                Shown(STAGES[row["stage"]]),
                Shown(f"{row['benchmarks']}, {measure.replace('_', ' ')}", tone="muted"),
                Shown(row["level"], tone="muted"),
                Shown(row["rank"] or UNKNOWN),
                Shown(numbers.label(row["variant_key"])),
                Shown(render_score(measure, _number(row["mean"]))),
                Shown(row["n"]),
                Shown(render_score(measure, _number(row["behind_best"])), of=both),
                Shown(_show_p(row["p_holm"]), of=both),
                Shown(row["standing"]),
                Shown(row["note"], tone="muted"),
            ]
        )
    return _close(
        "ranking",
        "Which mixtures cannot be told from the best",
        columns,
        rows,
        numbers,
        ranking,
        RANKING_HEADER,
        RANKING_NOTE,
    )


def _name_contest(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("base_model_key", "stage", "measure", "benchmarks", "level"))


def _build_relative(numbers: Numbers, relative: Sequence[Mapping[str, str]]) -> Table:
    columns = [Column("Mixture"), Column("Measured on", "long"), Column("Averaging"), Column("About")]
    columns += [Column(name, "number") for name in ("n", "Before", "After", "Improvement, %", "95 % limits")]
    columns += [Column("Note", "long")]
    rows = []
    for row in relative:
        limits = [_show_percent(row[name]) for name in ("low", "high")]
        rows.append(
            [
                Shown(numbers.label(row["variant_key"])),
                Shown(f"{row['benchmarks']}, {row['measure'].replace('_', ' ')}", tone="muted"),
                Shown(row["averaging"]),
                Shown(row["level"], tone="muted"),
                Shown(row["n"]),
                *(Shown(render_score(row["measure"], _number(row[name]))) for name in ("before", "after")),
                Shown(_show_percent(row["improvement"])),
                Shown(" to ".join(limits) if row["low"] else UNKNOWN),
                Shown(row["note"], tone="muted"),
            ]
        )
    title = "Relative improvement by SFT"
    return _close("relative", title, columns, rows, numbers, relative, RELATIVE_HEADER, RELATIVE_NOTE)


def _build_intervals(numbers: Numbers, intervals: Sequence[Mapping[str, str]]) -> Table:
    columns = [Column("Mixture"), Column("Stage"), Column("Benchmark"), Column("About"), Column("Unit")]
    columns += [*(Column(name, "number") for name in ("n", "Mean", "95 % limits")), Column("Note", "long")]
    rows = [
        [
            Shown(numbers.label(row["variant_key"])),
            Shown(STAGES[row["stage"]]),
            Shown(row["benchmark"]),
            Shown(row["level"], tone="muted"),
            Shown(row["unit"] or UNKNOWN, tone="muted"),
            Shown(row["n"]),
            Shown(render_score(row["measure"], _number(row["mean"]))),
            Shown(_show_limits(row["measure"], row)),
            Shown(row["note"], tone="muted"),
        ]
        for row in intervals
    ]
    title = "Intervals of every cell"
    return _close("intervals", title, columns, rows, numbers, intervals, INTERVAL_HEADER, "Student's t, 95 %.")


def _build_variance(numbers: Numbers, variance: Sequence[Mapping[str, str]]) -> Table:
    columns = [Column("Mixture"), Column("Stage"), Column("Benchmark"), Column("Component")]
    columns += [Column(name, "number") for name in ("Standard deviation", "80 % limit", "df", "Units")]
    columns += [Column("Note", "long")]
    rows = [
        [
            Shown(numbers.label(row["variant_key"])),
            Shown(STAGES[row["stage"]]),
            Shown(row["benchmark"]),
            Shown(row["component"].replace("_", " ") or UNKNOWN),
            Shown(_show(row["deviation"], ".4f")),
            Shown(_show(row["upper"], ".4f")),
            Shown(row["df"] or UNKNOWN),
            Shown(row["units"]),
            Shown(row["note"], tone="muted"),
        ]
        for row in variance
    ]
    return _close("variance", "Variance components", columns, rows, numbers, variance, VARIANCE_HEADER, VARIANCE_NOTE)


def _close(
    name: str,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Shown]],
    numbers: Numbers,
    found: Sequence[Mapping[str, str]],
    header: Sequence[str],
    note: str,
) -> Table:
    """A folded table whose records begin with the label of the variant, and whose rows lead to its cells."""
    records = [[numbers.label(row["variant_key"]), *(row[one] for one in header)] for row in found]
    origins = [_list_cells(numbers, row) for row in found]
    return Table(name, title, tuple(columns), rows, ["variant", *header], records, note, folded=True, origins=origins)


def _list_cells(numbers: Numbers, row: Mapping[str, str]) -> list[str]:
    """The cells behind a row: of its benchmark or benchmarks, at its stage or, of an improvement, before and after."""
    stages = [row["stage"]] if "stage" in row else ["before_sft", "after_sft"]
    names = row["benchmarks"].split() if "benchmarks" in row else [row["benchmark"]]
    return numbers.cells_named(row["variant_key"], stages, names, row["measure"])


def _show_limits(measure: str, row: Mapping[str, str]) -> str:
    if not row["low"]:
        return UNKNOWN
    return " to ".join(render_score(measure, float(row[name])) for name in ("low", "high"))


def _show_p(text: str) -> str:
    return render_p(float(text)) if text else UNKNOWN


def _show_percent(text: str) -> str:
    return f"{float(text) * 100:.1f}".replace("-", "−") if text else UNKNOWN


def _show(text: str, form: str) -> str:
    return format(float(text), form).replace("-", "−") if text else UNKNOWN


def _number(text: str) -> float | None:
    return float(text) if text else None
