"""The edit table: what people change after a study is finished, and exactly what must then be made again.

`apply` edits a copy of the checkout (checkouts.copy_checkout). `counts` says how many artifacts of each stage must be
made, `only` matches the labels of all of them: a test compares both with what a plan wants or with what a run made.
"""

from editing import (
    CONFIG_FOLDER,
    STUDY,
    Edit,
    append,
    delete,
    discard_stage,
    relock,
    replace,
    reverse_keys,
    together,
    touch_all,
)
from edits_data import REMAKING_BY_DATA
from edits_expected import EVALUATION_OF_ONE, OF_BOTH, OF_ONE_VARIANT, TABLES, TABLES_ONLY

JUDGED = {"judge": 12, "scores": 6, **TABLES}

HEAVY = r"^micro/(math heavy 数学/|aggregate$|report$)"
DIALOGUE = r"/demo_dialogue_en/.*/judge$|/scores$"

IDLE = """\
  idle:
    kind: raw
    language: ja
    licence: unknown
    origin: {type: generator, name: invented_world, size: 9, options: {language: ja, world_seed: 3}}
"""

REMAKING = (
    Edit(
        "one category weight of one mixture",
        replace(STUDY, "{math: 3, reasoning: 1}", "{math: 4, reasoning: 1}"),
        {"mixture": 1, "ipt": 1, **OF_ONE_VARIANT},
        HEAVY,
    ),
    Edit(
        "a judge setting",
        append(STUDY, "judge: {rule: {same_number: 0.7}}\n"),
        JUDGED,
        f"{DIALOGUE}|{TABLES_ONLY}",
    ),
    Edit(
        "a judge prompt",
        replace(f"{CONFIG_FOLDER}/judge_prompts/en.yaml", "system: ", "system: \u00bb"),
        JUDGED,
        f"{DIALOGUE}|{TABLES_ONLY}",
    ),
    Edit(
        "the prompt of a scored benchmark",
        replace(f"{CONFIG_FOLDER}/benchmarks_declared/demo_math_en.yaml", "template: ", "template: Q"),
        {"generate": 6, "score": 6, "scores": 6, **TABLES},
        f"/demo_math_en/|/scores$|{TABLES_ONLY}",
    ),
    Edit(
        "the prompt of a judged benchmark",
        replace(f"{CONFIG_FOLDER}/benchmarks_declared/demo_dialogue_en.yaml", "template: ", "template: Q"),
        {"generate": 6, "judge": 12, "scores": 6, **TABLES},
        f"/demo_dialogue_en/|/scores$|{TABLES_ONLY}",
    ),
    Edit(
        "one SFT seed added",
        replace(STUDY, "sft_seed: [1, 2]", "sft_seed: [1, 2, 3]"),
        {"sft": 2, **{stage: 2 * n for stage, n in EVALUATION_OF_ONE.items()}, **TABLES},
        f"/sft_seed 3/|{TABLES_ONLY}",
    ),
    Edit(
        "average over fewer of the kept snapshots",
        replace(STUDY, "average: {last: 4}", "average: {last: 3}"),
        OF_BOTH,
        f"/average$|/average/|/sft_seed |{TABLES_ONLY}",
    ),
    Edit(
        "version of stage average raised",
        replace(
            "src/mixlab/plan/specs.py",
            "    averaging: AveragingSettings\n",
            "    version: int = 2\n    averaging: AveragingSettings\n",
        ),
        OF_BOTH,
        f"/average$|/average/|/sft_seed |{TABLES_ONLY}",
    ),
    Edit(
        "variant renamed",
        together(replace(STUDY, "  even:\n", "  uniform:\n"), replace(STUDY, "against: even", "against: uniform")),
        {"report": 1},
        TABLES_ONLY,
    ),
    Edit("an effect renamed", replace(STUDY, "more math data, more math", "more helps"), {"report": 1}, TABLES_ONLY),
    Edit("title of the report", replace(STUDY, "Micro study", "Tiny study"), {"report": 1}, TABLES_ONLY),
    *REMAKING_BY_DATA,
)

REMAKING_NOTHING = tuple(
    Edit(name, apply, {})
    for name, apply in {
        "an edit undone": together(replace(STUDY, "math: 3", "math: 4"), replace(STUDY, "math: 4", "math: 3")),
        "comments in .py, .smk and .yaml": together(
            append("src/mixlab/training/loop.py", "\n# a remark\n"),
            append("src/mixlab/plan/specs.py", "\n# a remark\n"),
            append("rules/training.smk", "\n# a remark\n"),
            append(STUDY, "\n\n# a remark\n"),
            append("config.yaml", "# a remark\n"),
        ),
        "white space in .py, .smk and .yaml": together(
            replace("src/mixlab/config/base.py", "import Any", "import  Any"),
            append("rules/data.smk", "\n\n\n"),
            append(STUDY, "\n   \n\n"),
            replace(STUDY, "judge_run: [1, 2]", "judge_run:   [ 1,   2 ]"),
        ),
        "order of keys": reverse_keys,
        "a half written as 50 %": replace(STUDY, "instruction: 1/2", "instruction: 50 %", count=2),
        "a half written as 0.5": replace(STUDY, "instruction: 1/2", "instruction: 0.50", count=2),
        "weights scaled": replace(STUDY, "{math: 3, reasoning: 1}", "{math: 1.5, reasoning: 50 %}"),
        "weights written as ratios": replace(
            STUDY, "{weights: {math: 3, reasoning: 1}}", "{ratios: {math: 3/4, reasoning: 0.25}}"
        ),
        "every file touched in random order": touch_all,
        "machine settings": append("config.yaml", "  micro_batch_windows: 3\n  stages: {ipt: {threads: 2}}\n"),
        "an endpoint of the machine added": append(
            "config.yaml", '  endpoints: {lab: {url: "http://127.0.0.1:8000/v1"}}\n'
        ),
        "more shards": replace(STUDY, "shard_bytes: 10 kB", "shard_bytes: 6 kB"),
        "no shards": replace(STUDY, "shard_bytes: 10 kB", "shard_bytes: 4 GiB"),
        "an override that says what holds anyway": replace(
            STUDY, "    tokenizer: bpe\n", "    tokenizer: bpe\n    overrides: {average: {last: 4}}\n"
        ),
        "a source declared that nothing names": replace(STUDY, "\nsources:\n", f"\nsources:\n{IDLE}"),
        "raw data removed": delete("tests/data/micro"),
        "a source file renamed, then mixlab lock": relock(
            lambda root: (root / "tests/data/micro/math_en.jsonl").rename(root / "tests/data/micro/sums.jsonl"),
            replace(STUDY, "math_en.jsonl", "sums.jsonl"),
        ),
        "all ipt data discarded": discard_stage("ipt"),
        "every model deleted, not tracked": delete("artifacts/sft"),
        "every token store deleted, not tracked": delete("artifacts/tokenize"),
    }.items()
)
