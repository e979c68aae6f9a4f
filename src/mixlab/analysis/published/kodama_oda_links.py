"""Numbers that one table of Kodama & Oda (Findings of EACL 2026) prints and another one gives: between Tables 1, 2, 12,
13, 16 and 17."""

from mixlab.analysis.published.derivations import Check, Derivation, Gap, check_number, render_sum
from mixlab.analysis.published.rounded import add_up
from mixlab.analysis.published.tables import PublishedTable

CODING, CODE = "coding", "code"
LANGUAGES = {"English": "en", "Japanese": "ja"}
"""Names of languages in Tables 1, 2 and 13 -> those in Table 17."""
WHOLE_IN_SFT = (("Japanese", "math"), ("Japanese", "reasoning"))
"""Cells of which Table 13 prints the samples and tokens of Table 2: all of it is in SFT."""
_DELTA, _TOKENS = "delta_abs_vs_baseline", "tokens_B_llmjp3"


def derive_baseline_16(changes: PublishedTable, scaling: PublishedTable) -> Derivation:
    """The baseline of llmjp3 in Table 12 as what Table 16 prints for 1.8B, 25k steps, with SFT: all of MT-Bench."""
    checks = []
    for row in scaling.select(model_size="1.8B", ipt_steps="25k", sft="yes"):
        labels = {"benchmark": "MT-Bench", "language": row["language"], "category": row["category"]}
        other = changes.one(model="llmjp3", setting="en_only", **labels)
        mean, delta = other.printed["mean"], other.printed[_DELTA]
        computed = other.read("mean") - other.read(_DELTA)
        where = f"{row['language']} {row['category']}"
        text = f"{mean} - ({delta})"
        checks.append(check_number(where, row.printed["mean"], row.read("mean"), computed, text, 2))
    rule = "Table 16, 1.8B, 25k, with SFT = baseline of llmjp3 = mean - difference of English only in Table 12"
    return Derivation("baseline of Table 12 in Table 16", rule, tuple(checks))


def derive_datasets(totals: PublishedTable, datasets: PublishedTable) -> Derivation:
    """The tokens of Table 1 by language and category as sums over the datasets of Table 17.

    A row without tokens or category could belong to any cell of its language that its tokens would fit in; a cell
    that the rest does not reach cannot be computed.
    """
    checks, gaps = list[Check](), list[Gap]()
    for total in totals.select(tokenizer="llmjp3"):
        if total["language"] not in LANGUAGES:
            continue
        language, category = LANGUAGES[total["language"]], total["category"]
        same = {category, CODING} if category == CODE else {category}
        rows = [row for row in datasets.select(language=language) if row["category"] in same and row.printed[_TOKENS]]
        damaged = [
            row for row in datasets.select(language=language)
            if not row.printed[_TOKENS] or not row["category"]
        ]  # fmt: skip
        where, printed = f"{total['language']}, {category}", total.printed["tokens_B"]
        computed, text = add_up(row.read(_TOKENS) for row in rows), render_sum([row.printed[_TOKENS] for row in rows])
        check = check_number(where, printed, total.read("tokens_B"), computed, text, 4)
        if damaged and not check.follows and check.apart < 0:
            names = ", ".join(row["name"] for row in damaged)
            why = f"the tokens of {names} cannot be read in the table; the other rows give {check.computed}"
            gaps.append(Gap(where, printed, why))
        else:
            checks.append(check)
    rule = "tokens of a cell = sum over its datasets in Table 17, by llmjp3"
    return Derivation("cells of Table 1", rule, tuple(checks), tuple(gaps))


def derive_whole_in_sft(instructions: PublishedTable, fine_tuning: PublishedTable) -> Derivation:
    """The cells of Table 13 whose samples and tokens are all those of Table 2."""
    checks = []
    for language, category in WHOLE_IN_SFT:
        drawn = fine_tuning.one(language=language, category=category)
        other = instructions.one(language=language, category=category, tokenizer="llmjp3")
        for column, there in (("n_samples", "n_samples"), ("response_tokens_M_llmjp3", "tokens_M")):
            where = f"{language}, {category}, {'samples' if column == there else 'tokens'}"
            text = f"line {other.line} of {instructions.path.name}: {other.printed[there]}"
            checks.append(check_number(where, drawn.printed[column], drawn.read(column), other.read(there), text, 1))
    return Derivation("cells of Table 13", "Japanese math and reasoning: the same number in Table 2", tuple(checks))
