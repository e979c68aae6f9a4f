"""The rows of the edit table that are about data: sources, filters, labels, shards, mixtures, and their names."""

from editing import STUDY, Edit, append, relock, replace, together
from edits_expected import (
    BELOW_ALL,
    BELOW_LABELS,
    BELOW_MATH,
    DATA_TABLES_ONLY,
    LABELS_ONLY,
    MATH_ONLY,
    OF_ONE_VARIANT,
    TABLES,
    TABLES_ONLY,
    stores,
)

EVEN_WEIGHTS = "    category: {weights: {math: 1, reasoning: 1}}\n"
EVEN_ONLY = f"^micro/even/|{TABLES_ONLY}"
SOURCES = "sources: [raw_file, raw_ja, math_file, reasoning_ja]"
MATH_FIELDS = '      fields: {user: "{question}", assistant: "{answer}"}\n'

REMAKING_BY_DATA = (
    Edit(
        "content of one instruction source file, then mixlab lock",
        relock(append("tests/data/micro/math_en.jsonl", '{"question": "1 + 1?", "answer": "1+1=2"}\n')),
        {"source": 1, "contamination": 1, "filter": 1, **BELOW_MATH},
        MATH_ONLY,
    ),
    Edit(
        "content of one tokenizer source, then mixlab lock",
        relock(append("tests/data/micro/raw_en.jsonl", '{"text": "A new day began."}\n')),
        {"source": 1, "contamination": 1, "filter": 1, "tokenizer": 1, **BELOW_ALL},
        r"^micro/(source|contamination|filter)/raw_file|^micro/(?!source/|contamination/|filter/)",
    ),
    Edit(
        "content of a benchmark",
        replace(STUDY, "      size: 8\n", "      size: 9\n"),
        {"source": 1, "contamination": 4, "generate": 6, "score": 6, "scores": 6, **TABLES},
        f"^micro/source/test_math_en$|^micro/contamination/|/demo_math_en/|/scores$|{TABLES_ONLY}",
    ),
    Edit(
        "a filter added for all sources",
        replace(STUDY, "  - {type: exact_duplicates}\n", "  - {type: exact_duplicates}\n  - {type: personal_data}\n"),
        {"label": 1, **BELOW_ALL, "filter": 6},
        r"^micro/(?!source/|contamination/|tokenizer/)",
        only_planned=True,
    ),
    Edit(
        "other filters for one source",
        replace(
            STUDY,
            MATH_FIELDS,
            f"{MATH_FIELDS}    filters: [{{type: length, tokenizer: bpe, min_tokens: 4}}]\n",
        ),
        {"filter": 1, **BELOW_MATH},
        MATH_ONLY,
        only_planned=True,
    ),
    Edit(
        "contaminated records dropped, not only told",
        append(STUDY, "\ncontamination: {on_found: drop}\n"),
        {"label": 1, **BELOW_ALL, "filter": 6},
        r"^micro/(?!source/|contamination/|tokenizer/)",
        only_planned=True,
    ),
    Edit(
        "how contamination is looked for",
        append(STUDY, "\ncontamination: {words: 12}\n"),
        {"contamination": 4, "report": 1},
        r"^micro/(contamination/|report$)",
    ),
    Edit(
        "a setting of a labeller",
        replace(STUDY, "rules: {engine: {type: rules}}", "rules: {engine: {type: rules}, shown: {turns: all}}"),
        {"label": 1, **BELOW_LABELS},
        LABELS_ONLY,
        only_planned=True,
    ),
    Edit(
        "the chat template of a tokenizer",
        replace(
            STUDY,
            "bpe: {vocab_size: 400, sources: [raw_file, raw_ja]}",
            'bpe: {vocab_size: 400, sources: [raw_file, raw_ja], chat: {user_suffix: "<|end|>"}}',
        ),
        {**BELOW_MATH, **stores(3), "pack": 4},
        f"{MATH_ONLY}|{LABELS_ONLY}",
        only_planned=True,
    ),
    Edit(
        "a phase of one mixture",
        replace(
            STUDY,
            EVEN_WEIGHTS,
            f"{EVEN_WEIGHTS}    phases: [{{from_share: 3/4, category: {{weights: {{math: 3, reasoning: 1}}}}}}]\n",
        ),
        {"mixture": 1, "ipt": 1, **OF_ONE_VARIANT},
        EVEN_ONLY,
    ),
    Edit(
        "the upsampling factor of one raw source",
        replace(STUDY, EVEN_WEIGHTS, f"{EVEN_WEIGHTS}    raw: {{factors: {{raw_ja: 2}}}}\n"),
        {"mixture": 1, "ipt": 1, **OF_ONE_VARIANT},
        EVEN_ONLY,
        only_planned=True,
    ),
    Edit(
        "a source renamed, then mixlab lock",
        relock(replace(STUDY, "math_file", "sums", count=3)),
        {"counts": 1, "report": 1},
        DATA_TABLES_ONLY,
    ),
    Edit(
        "sources of a mixture named by a pool",
        together(
            replace(STUDY, f"variant_defaults:\n  {SOURCES}", "variant_defaults:\n  sources: [everything]"),
            append(STUDY, f"\npools: {{everything: {{{SOURCES}}}}}\n"),
        ),
        {"counts": 1, "report": 1},
        DATA_TABLES_ONLY,
    ),
    Edit("a licence reworded", replace(STUDY, "CC0-1.0", "PDDL-1.0", count=6), {"report": 1}, TABLES_ONLY),
    Edit(
        "a value said to be assumed",
        replace(STUDY, "max_epochs: 8\n\nvariants", "max_epochs: {value: 8, assumed: little text}\n\nvariants"),
        {"report": 1},
        TABLES_ONLY,
    ),
)
