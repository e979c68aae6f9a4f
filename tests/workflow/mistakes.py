"""Mistakes in studies/micro.yaml: what is written instead of what, and what must be told.

`{line}` stands for the address of the change, `{line_number}` for its line alone.
"""

Change = tuple[str, str]
"""A text of the study, and what is written instead."""

STUDY = "studies/micro.yaml"
EVEN = "    instruction: 1/2\n    category: {weights: {math: 1, reasoning: 1}}\n"
HEAVY = "{weights: {math: 3, reasoning: 1}}"
SECOND_EFFECT = """  - name: more math data, more math
    variant: even
    against: math heavy 数学
    stage: after_sft
    at_least: 0.01
"""

MISTAKES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "ratios that do not sum to 1": (
        (HEAVY, "{ratios: {math: 0.7, reasoning: 0.2}}"),
        ("{line}: variants['math heavy 数学'].category", "ratios sum to 0.9, not 1", "did you mean `weights:`"),
    ),
    "33.33 % is not a third": (
        (HEAVY, "{ratios: {math: 33.33 %, reasoning: 2/3}}"),
        ("{line}: variants['math heavy 数学'].category", "not 1"),
    ),
    "a cell without a source": (
        (HEAVY, f"{HEAVY}\n    language: {{ratios: {{en: 1}}}}"),
        ("variants['math heavy 数学']", "cell en/reasoning has a share and no source"),
    ),
    "a raw share without raw text": (
        (EVEN, f"    sources: [math_file, reasoning_ja]\n{EVEN}"),
        ("variants.even", "raw data has a share of 0.5 and no source"),
    ),
    "an unknown source of a variant": (
        ("raw_ja, math_file, reasoning_ja]", "raw_ja, math_fil, reasoning_ja]"),
        ("{line}: variants.even.sources[2]", "no source is named 'math_fil'; did you mean 'math_file'?"),
    ),
    "an unknown source of a tokenizer": (
        ("{vocab_size: 400, sources: [raw_file, raw_ja]}", "{vocab_size: 400, sources: [raw_fil, raw_ja]}"),
        ("{line}: tokenizers.bpe.sources[0]", "did you mean 'raw_file'?"),
    ),
    "an unknown source of SFT": (
        ("sources: [math_file], budget", "sources: [maths_file], budget"),
        ("{line}: sft.mixture.sources[0]", "did you mean 'math_file'?"),
    ),
    "raw text for SFT": (
        ("sources: [math_file], budget", "sources: [math_file, raw_ja], budget"),
        ("{line}: sft.mixture.sources[1]", "'raw_ja' is raw text"),
    ),
    "an unknown tokenizer": (
        ("tokenizer: bpe", "tokenizer: bpp"),
        ("{line}: base_models.tiny.tokenizer", "did you mean 'bpe'?"),
    ),
    "an unknown base model": (
        (EVEN, f"    base_models: [tin]\n{EVEN}"),
        ("{line}: variants.even.base_models[0]", "did you mean 'tiny'?"),
    ),
    "a benchmark whose data is not declared": (
        ("{data: test_math_en}", "{data: test_maths_en}"),
        ("{line}: benchmarks.demo_math_en.data", "did you mean 'test_math_en'?"),
    ),
    "a benchmark whose data is no benchmark": (
        ("{data: test_math_en}", "{data: math_file}"),
        ("{line}: benchmarks.demo_math_en.data", "a source of kind instruction; a benchmark needs kind benchmark"),
    ),
    "a benchmark without data": (
        ("demo_math_en: {data: test_math_en}", "demo_math_en: {limit: 3}"),
        ("{line}: benchmarks.demo_math_en.data", "missing"),
    ),
    "an unknown benchmark": (
        ("demo_math_en: {data", "demo_maths_en: {data"),
        ("{line}: benchmarks.demo_maths_en", "did you mean 'demo_math_en'?"),
    ),
    "averaging more snapshots than are kept": (
        ("average: {last: 4}", "average: {last: 5}"),
        ("{line}: average.last", "averages 5 snapshots, but ipt keeps 4"),
    ),
    "averaging where none are kept": (
        ("    snapshots: {every_steps: 4, keep: 4}\n", "    loss: all\n"),
        ("ipt.training.snapshots", "ipt keeps none"),
    ),
    "a budget too small for the snapshots": (
        ("budget: {tokens: 16000}", "budget: {tokens: 160}"),
        ("{line}: variants.even.budget", "its snapshots need 13"),
    ),
    "two variants of one label": (
        ("  math heavy 数学:\n", "  even:\n"),
        ("{line}: variants.even: key 'even' is written twice",),
    ),
    "two effects of one name": (
        ("    at_least: 0.01\n", f"    at_least: 0.01\n{SECOND_EFFECT}"),
        ("effects[0].name: 'more math data, more math' names several effects",),
    ),
    "two groups of one label": (
        ("average: {last: 4}", "average: {last: 4}\nreport: {groups: [{label: a}, {label: a}]}"),
        ("report.groups[0]: 'a' names several groups",),
    ),
    "a seed named twice": (
        ("sft_seed: [1, 2]", "sft_seed: [1, 1]"),
        ("seeds: sft_seed: [1, 1] names a seed twice",),
    ),
    "a negative weight": (
        (HEAVY, "{weights: {math: -3, reasoning: 1}}"),
        ("{line}: variants['math heavy 数学'].category.weights.math: must not be negative, got -3",),
    ),
    "a weight that is not a number": (
        (HEAVY, "{weights: {math: .nan, reasoning: 1}}"),
        ("{line}: variants['math heavy 数学'].category.weights.math", "got 'nan'"),
    ),
    "a rate that is not a number": (
        ("learning_rate: 0.002", "learning_rate: .nan"),
        ("{line}: sft.training.optimizer.learning_rate: expected a finite number, got .nan",),
    ),
    "a share above 1": (
        (EVEN, EVEN.replace("1/2", "150 %")),
        ("{line}: variants.even.instruction", "got '150 %'"),
    ),
    "files that extend each other": (
        ("title: Micro study\n", "title: Micro study\nextends: micro.yaml\n"),
        ("extends: a cycle of files that extend each other: micro.yaml -> micro.yaml",),
    ),
    "an unknown section": (
        ("average: {last: 4}", "averge: {last: 4}"),
        ("{line}: averge: unknown key 'averge'; did you mean 'average'?",),
    ),
    "an unknown key": (
        ("learning_rate: 0.002", "learnin_rate: 0.002"),
        ("{line}: sft.training.optimizer.learnin_rate: unknown key", "did you mean 'learning_rate'?"),
    ),
    "a word for a number": (
        ("vocab_size: 400", "vocab_size: many"),
        ("{line}: tokenizers.bpe.vocab_size: expected a whole number >= 261", "got 'many'"),
    ),
    "a number out of range": (
        ("judge_run: [1, 2]", "judge_run: [1, -2]"),
        ("{line}: seeds.judge_run[1]: expected a whole number >= 0", "got -2"),
    ),
    "a sequence longer than the model": (
        ("sequence_tokens: 96", "sequence_tokens: 960"),
        ("{line}: sft.sequence_tokens: 960 tokens are more than max_positions 256 of 'tiny'",),
    ),
    "an effect of an unknown variant": (
        ("against: even", "against: evn"),
        ("{line}: effects[0].against: no variant is named 'evn'; did you mean 'even'?",),
    ),
    "a file source that is not locked": (
        ("paths: [math_en.jsonl]", "paths: [math_ja.jsonl]"),
        ("sources.math_file.origin: sources.lock was written for other files; run `mixlab lock math_file`",),
    ),
    "no YAML": (("average: {last: 4}", "average: {last: 4"), ("not valid YAML", "opened on line {line_number}")),
}

SEVERAL: tuple[Change, ...] = (
    ("average: {last: 4}", "average: {last: 5}"),
    ("tokenizer: bpe", "tokenizer: bpp"),
    ("{data: test_math_en}", "{data: test_maths_en}"),
    (HEAVY, "{weights: {math: -3, reasoning: 1}}"),
    ("vocab_size", "vocabsize"),
    ("against: even", "against: evn"),
)
SEVERAL_TOLD = (
    "average.last: averages 5",
    "base_models.tiny.tokenizer: no tokenizer is named 'bpp'",
    "benchmarks.demo_math_en.data: no source is named 'test_maths_en'",
    "variants['math heavy 数学'].category.weights.math: must not be negative",
    "tokenizers.bpe.vocabsize: unknown key 'vocabsize'; did you mean 'vocab_size'?",
    "effects[0].against: no variant is named 'evn'",
)
