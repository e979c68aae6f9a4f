"""What is re-derived from the published tables of Kodama & Oda (Findings of EACL 2026) alone.

A number follows when it and the computed one can be roundings of one number, each printed number being off by at most
half a unit of its last digit.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from mixlab.analysis.published.derivations import Check, Derivation, check_number, render_sum
from mixlab.analysis.published.kodama_oda_links import derive_baseline_16, derive_datasets, derive_whole_in_sft
from mixlab.analysis.published.rounded import Rounded, add_up, average
from mixlab.analysis.published.tables import PublishedTable, Row

Tables = Mapping[str, PublishedTable]

GENERAL = ("extraction", "humanities", "roleplay", "writing")
"""The categories of MT-Bench that Table 4 calls general: of all 255 sets of categories, the only one whose averages are
all 16 of its differences (the next best explains 4). STEM is in no column of that table."""
CATEGORIES = ("coding", "extraction", "humanities", "math", "reasoning", "roleplay", "stem", "writing")
BALANCED, HALF_REASONING = "25/25/25/25", "17/17/17/50"
MODELS = ("llmjp3", "qwen2.5", "llama-inhouse", "llama3.2")
LANGUAGES = ("EN", "JA")
SETTINGS = ("en_only", "ja_only")
_AVERAGE, _MT_BENCH = "AVG", "MT-Bench"
_DELTA = "delta_abs_vs_baseline"


def derive_all(tables: Tables) -> list[Derivation]:
    """Compute what is known to follow from other numbers of the tables; raises DataError where a row is missing.

    This is no search for every relation: deviations, and Tables 5, 6, 10, 11, 14 and 15 are not checked.
    """
    return [
        *derive_totals(tables),
        derive_raw_shares(tables["09"]),
        derive_averages_12(tables["12"]),
        derive_baselines(tables["12"]),
        derive_averages_16(tables["16"]),
        derive_same_cells(tables["04"], tables["12"]),
        derive_general(tables["04"], tables["12"]),
        derive_baseline_16(tables["12"], tables["16"]),
        derive_datasets(tables["01"], tables["17"]),
        derive_whole_in_sft(tables["02"], tables["13"]),
        derive_claim(tables["03"]),
    ]


def derive_totals(tables: Tables) -> list[Derivation]:
    """The totals of Tables 1, 2 and 13 as sums of their cells, for each tokenizer."""
    rule = "total = sum of the cells by language and category"
    found = []
    for number, tokens in (("01", "tokens_B"), ("02", "tokens_M"), ("13", "response_tokens_M_llmjp3")):
        table, checks = tables[number], list[Check]()
        tokenizers = table.values("tokenizer") if number != "13" else [""]
        for tokenizer in tokenizers:
            chosen = {"tokenizer": tokenizer} if tokenizer else {}
            rows = [row for row in table.select(**chosen) if row["category"] != "total"]
            total = table.one(language="all", category="total", **chosen)
            # samples are the same for every tokenizer: they are checked once
            columns = ("n_samples", tokens) if tokenizer == tokenizers[0] else (tokens,)
            for column in columns:
                where = column if column == "n_samples" or not tokenizer else f"{column}, {tokenizer}"
                checks.append(_check_terms(where, total, rows, column))
        found.append(Derivation(f"totals of {table.title}", rule, tuple(checks)))
    return found


def _check_terms(where: str, total: Row, rows: Sequence[Row], column: str) -> Check:
    computed = add_up(row.read(column) for row in rows)
    digits = len(total.printed[column].partition(".")[2])
    text = f"{render_sum([row.printed[column] for row in rows])}"
    return check_number(where, total.printed[column], total.read(column), computed, text, digits)


def derive_raw_shares(table: PublishedTable) -> Derivation:
    """The final sampling ratios of Table 9 from its tokens and upsampling factors."""
    amounts = [row.read("raw_tokens_B").scaled(row.read("upsampling_factor").value) for row in table.rows]
    whole, checks = add_up(amounts), []
    for row, amount in zip(table.rows, amounts, strict=True):
        share = amount.over(add_up(one for one in amounts if one is not amount)).scaled(100)
        factor = row.printed["upsampling_factor"]
        text = f"{row.printed['raw_tokens_B']} x {factor} / {float(whole.value):g}"
        printed = row.printed["final_sampling_ratio_pct"]
        where = f"{row['language']}, {row['source']}"
        checks.append(check_number(where, printed, row.read("final_sampling_ratio_pct"), share, text, 4))
    printed_sum = add_up(row.read("final_sampling_ratio_pct") for row in table.rows)
    shares = render_sum([row.printed["final_sampling_ratio_pct"] for row in table.rows])
    checks.append(check_number("sum of the ratios", "100", Rounded(Fraction(100)), printed_sum, shares, 2))
    return Derivation(
        "ratios of Table 9", "ratio = raw tokens x upsampling factor / sum over all corpora, in percent", tuple(checks)
    )


def derive_averages_12(table: PublishedTable) -> Derivation:
    """The averages of Table 12, of means and of differences, as means over the eight categories."""
    checks = []
    for model in MODELS:
        for setting in SETTINGS:
            for language in LANGUAGES:
                labels = {"model": model, "setting": setting, "benchmark": _MT_BENCH, "language": language}
                where = f"{model}, {setting}, {_MT_BENCH} {language}"
                rows = [table.one(**labels, category=category) for category in CATEGORIES]
                printed = table.one(**labels, category=_AVERAGE)
                checks.append(_check_average(f"{where}, mean", printed, rows, "mean"))
                checks.append(_check_average(f"{where}, difference", printed, rows, _DELTA))
    return Derivation("averages of Table 12", "average = sum over the 8 categories / 8", tuple(checks))


def derive_averages_16(table: PublishedTable) -> Derivation:
    """The averages of Table 16; its standard deviations do not follow from those of the categories."""
    checks = []
    points = dict.fromkeys((row["model_size"], row["ipt_steps"], row["sft"], row["language"]) for row in table.rows)
    for size, steps, sft, language in points:
        labels = {"model_size": size, "ipt_steps": steps, "sft": sft, "language": language}
        rows = [table.one(**labels, category=category) for category in CATEGORIES]
        where = f"{size}, {steps}, {'with' if sft == 'yes' else 'without'} SFT, {language}"
        checks.append(_check_average(where, table.one(**labels, category=_AVERAGE), rows, "mean"))
    return Derivation("averages of Table 16", "average = sum over the 8 categories / 8", tuple(checks))


def _check_average(where: str, printed: Row, rows: Sequence[Row], column: str) -> Check:
    text = f"({render_sum([row.printed[column] for row in rows])}) / {len(rows)}"
    computed = average(row.read(column) for row in rows)
    return check_number(where, printed.printed[column], printed.read(column), computed, text, 5)


def derive_baselines(table: PublishedTable) -> Derivation:
    """The baseline behind each measure of Table 12, computed from English only and from Japanese only."""
    checks = []
    cells = dict.fromkeys((row["model"], row["benchmark"], row["language"], row["category"]) for row in table.rows)
    for model, benchmark, language, category in cells:
        labels = {"model": model, "benchmark": benchmark, "language": language, "category": category}
        english, japanese = (table.one(**labels, setting=setting) for setting in SETTINGS)
        first, second = (_baseline(row) for row in (english, japanese))
        text = "; ".join(
            f"{setting}: {row.printed['mean']} - ({row.printed[_DELTA]}) = {float(one.value):.2f}"
            for setting, row, one in zip(SETTINGS, (english, japanese), (first, second), strict=True)
        )
        where = f"{model}, {benchmark} {language} {category}".rstrip()
        checks.append(check_number(where, f"{float(first.value):.2f}", first, second, text, 2))
    rule = "baseline = mean - difference, of English only (printed) and of Japanese only (computed): one number"
    return Derivation("baselines of Table 12", rule, tuple(checks))


def _baseline(row: Row) -> Rounded:
    return row.read("mean") - row.read(_DELTA)


def derive_same_cells(short: PublishedTable, whole: PublishedTable) -> Derivation:
    """The measures of Table 4 that Table 12 prints too."""
    checks = []
    for row in short.rows:
        if row["category"] == "general":
            continue
        other = whole.one(**row.labels)
        for column in ("mean", _DELTA):
            where = f"{_name(row)}, {'mean' if column == 'mean' else 'difference'}"
            text = f"line {other.line} of {whole.path.name}: {other.printed[column]}"
            checks.append(check_number(where, row.printed[column], row.read(column), other.read(column), text, 2))
    return Derivation("measures of Table 4", "the same number in Table 12", tuple(checks))


def derive_general(short: PublishedTable, whole: PublishedTable) -> Derivation:
    """`general` of Table 4 as the mean of the four categories of MT-Bench that its differences are averages of."""
    checks = []
    for row in short.select(category="general"):
        parts = [whole.one(**{**row.labels, "category": category}) for category in GENERAL]
        for column in ("mean", _DELTA):
            where = f"{_name(row)}, {'mean' if column == 'mean' else 'difference'}"
            check = _check_average(where, row, parts, column)
            checks.append(check if check.follows else _name_equal(check, row, parts, column))
    return Derivation(
        "`general` of Table 4", f"general = ({' + '.join(GENERAL)}) / {len(GENERAL)}, from Table 12", tuple(checks)
    )


def _name_equal(check: Check, row: Row, parts: Sequence[Row], column: str) -> Check:
    """Say of a number that is no average which single category it equals, where it does."""
    same = [part["category"] for part in parts if part.printed[column] == row.printed[column]]
    text = f"{check.computation}; printed is the number of {' and '.join(same)} alone" if same else check.computation
    return Check(check.where, check.printed, check.computed, text, check.apart, check.allowed, check.follows)


def _name(row: Row) -> str:
    return f"{row['model']}, {row['setting']}, {row['benchmark']} {row['language']} {row['category']}".rstrip()


def derive_claim(table: PublishedTable) -> Derivation:
    """Section 4.1.3: more reasoning, 17/17/17/50, beats 25/25/25/25 in 7 of 8 pairs of base model and language."""
    won, told = 0, []
    for model, language, more, even in list_pairs(table):
        difference = more.read("mean") - even.read("mean")
        won += difference.value > 0
        sign = ">" if difference.value > 0 else "<" if difference.value < 0 else "="
        told.append(f"{model} {language}: {more.printed['mean']} {sign} {even.printed['mean']}")
    where = f"{HALF_REASONING} above {BALANCED}"
    check = check_number(where, "7", Rounded(Fraction(7)), Rounded(Fraction(won)), "; ".join(told), 0)
    return Derivation(
        "claim of section 4.1.3", "wins = pairs of model and language whose mean in Table 3 is higher, of 8", (check,)
    )


def list_pairs(table: PublishedTable) -> list[tuple[str, str, Row, Row]]:
    """Model, language, and the rows of 17/17/17/50 and of 25/25/25/25 in Table 3."""
    return [
        (
            model,
            language,
            table.one(config=HALF_REASONING, model=model, language=language),
            table.one(config=BALANCED, model=model, language=language),
        )
        for model in MODELS
        for language in LANGUAGES
    ]
