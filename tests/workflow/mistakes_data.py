"""Mistakes in what studies/micro.yaml says of its data: filters, labels, licences, shards, pools, phases.

Of the form of tests/workflow/mistakes.py.
"""

Change = tuple[str, str]

FILTERS = "  - {type: exact_duplicates}\n"
ALLOWED = "licences: {allow: [public_domain]}"
MATH_LICENCE = "    category: math\n    licence: CC0-1.0\n"
HEAVY = "{weights: {math: 3, reasoning: 1}}"
POOLED = "pools: {math_file: {sources: [raw_ja]}}\n\ntokens: {shard"

MATH_FIELDS = 'fields: {user: "{question}", assistant: "{answer}"}'
DERIVED = "fields: {derive: {a: {type: replace, field: answer, %s}}, user: '{question}', assistant: '{a}'}"

DATA_MISTAKES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "a licence that the policy does not allow": (
        (MATH_LICENCE, MATH_LICENCE.replace("CC0-1.0", "CC-BY-SA-4.0")),
        ("{line}: sources.math_file.licence: licence CC-BY-SA-4.0 (share_alike) is not allowed (public_domain)",),
    ),
    "a licence that is not known": (
        (MATH_LICENCE, MATH_LICENCE.replace("CC0-1.0", "unknown")),
        ("{line}: sources.math_file.licence: licence unknown (unknown) is not allowed (public_domain)",),
    ),
    "an exception for a source that is not there": (
        (ALLOWED, "licences: {allow: [public_domain], exceptions: {maths_file: asked}}"),
        ("sources.maths_file.licence: licences.exceptions names no training source; did you mean 'math_file'?",),
    ),
    "a policy that allows what is no licence": (
        (ALLOWED, "licences: {allow: [public_domian]}"),
        ("{line}: licences: allow: 'public_domian' is neither a tier nor an SPDX id", "did you mean 'public_domain'?"),
    ),
    "a path that leads out of the data root": (
        ("[math_en.jsonl]", "[../../../../outside.jsonl]"),
        ("{line}: sources.math_file.origin.paths[0]: '../../../../outside.jsonl' leads out of the data root",),
    ),
    "personal data of an unknown kind": (
        (FILTERS, "  - {type: personal_data, kinds: [emails]}\n"),
        ("mixlab: {line}: filters[0].kinds[0]: ", "did you mean 'email'?"),
    ),
    "a template without a place": (
        (MATH_FIELDS, 'fields: {user: "{question}", assistant: answer}'),
        ("{line}: sources.math_file.origin.fields.assistant: the template 'answer' has no {field} place",),
    ),
    "a regular expression that is none": (
        (MATH_FIELDS, DERIVED % "pattern: '(', by: x"),
        ("{line}: sources.math_file.origin.fields.derive.a.pattern: '(' is no regular expression: missing )",),
    ),
    "a replacement by a group that is not there": (
        (MATH_FIELDS, DERIVED % "pattern: x, by: '\\9'"),
        ("{line}: sources.math_file.origin.fields.derive.a.by: ", "invalid group reference 9", "`pattern`"),
    ),
    "an unknown labeller": (
        ("labeller: rules", "labeller: rule"),
        ("{line}: sources.reasoning_ja.labeller: no labeller is named 'rule'; did you mean 'rules'?",),
    ),
    "a source to be labelled without a labeller": (
        ("    labeller: rules\n", ""),
        ("sources.reasoning_ja: `category: to_be_labelled` needs `labeller: NAME`",),
    ),
    "a labeller for a source that has a category": (
        (MATH_LICENCE, f"{MATH_LICENCE}    labeller: rules\n"),
        ("sources.math_file", "labeller"),
    ),
    "an unknown type of filter": (
        (FILTERS, "  - {type: exact_duplicate}\n"),
        ("{line}: filters[0].type", "did you mean 'exact_duplicates'?"),
    ),
    "a filter against an unknown source": (
        (FILTERS, "  - {type: near_duplicates, against: [raw_fil]}\n"),
        ("{line}: filters[0].against[0]: no source is named 'raw_fil'; did you mean 'raw_file'?",),
    ),
    "a filter by an unknown tokenizer": (
        (FILTERS, "  - {type: length, tokenizer: bpp, min_tokens: 2}\n"),
        ("{line}: filters[0].tokenizer: no tokenizer is named 'bpp'; did you mean 'bpe'?",),
    ),
    "limits of length that nothing meets": (
        (FILTERS, "  - {type: length, tokenizer: bpe, min_tokens: 9, max_tokens: 2}\n"),
        ("{line}: filters[0]", "`min_tokens` 9 is above `max_tokens` 2: no record fits"),
    ),
    "a filter of a benchmark": (
        ("    kind: benchmark\n", "    kind: benchmark\n    filters: [{type: exact_duplicates}]\n"),
        ("sources.test_math_en.filters: a benchmark is not filtered; remove `filters`",),
    ),
    "what to do about contamination, misspelt": (
        ("tokens: {", "contamination: {on_found: drpo}\n\ntokens: {"),
        ("{line}: contamination.on_found", "did you mean 'drop'?"),
    ),
    "shards of nothing": (
        ("shard_bytes: 10 kB", "shard_bytes: 0"),
        ("{line}: tokens.shard_bytes",),
    ),
    "a part of a source that is not labelled": (
        ("raw_ja, math_file, reasoning_ja]", "raw_ja, math_file/math, reasoning_ja]"),
        ("{line}: variants.even.sources[2]: no source is named 'math_file/math'",),
    ),
    "a pool with the name of a source": (
        ("tokens: {shard", POOLED),
        ("pools.math_file",),
    ),
    "a pool of an unknown source": (
        ("tokens: {shard", POOLED.replace("math_file", "words").replace("raw_ja", "raw_jp")),
        ("{line}: pools.words.sources[0]", "did you mean 'raw_ja'?"),
    ),
    "a phase beyond the budget": (
        (HEAVY, f"{HEAVY}\n    phases: [{{from_tokens: 16000, instruction: 1}}]"),
        ("variants['math heavy 数学']", "from_tokens 16,000 lies outside of the budget of 16,000 tokens"),
    ),
    "a factor of a source that is no raw text": (
        (HEAVY, f"{HEAVY}\n    raw: {{factors: {{math_file: 2}}}}"),
        ("variants['math heavy 数学']: raw: 'math_file' is no raw source but instruction data",),
    ),
    "an assumption without a reason": (
        ("average: {last: 4}", "average: {last: {value: 4, assumed: }}"),
        ("{line}: average.last.assumed: expected the reason for this value, in words",),
    ),
    "an override of what is no section": (
        ("    tokenizer: bpe\n", "    tokenizer: bpe\n    overrides: {averge: {last: 3}}\n"),
        ("base_models.tiny.overrides.averge: unknown key", "did you mean 'average'?"),
    ),
    "an override that cannot be met": (
        ("    tokenizer: bpe\n", "    tokenizer: bpe\n    overrides: {average: {last: 5}}\n"),
        ("averages 5 snapshots, but ipt keeps 4",),
    ),
    "a tokenizer of a file that is not locked": (
        ("{vocab_size: 400, sources: [raw_file, raw_ja]}", "{type: file, path: bpe.json, end_token: </s>}"),
        ("{line}: tokenizers.bpe: not in sources.lock; run `mixlab lock tokenizer/bpe`",),
    ),
}
