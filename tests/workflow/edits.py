"""The edit table: what people change after a study is finished, and exactly what must then be made again.

`apply` edits a copy of the checkout (checkouts.copy_checkout). `counts` says how many artifacts of each stage must be
made, `only` matches the labels of all of them: a test compares both with what a plan wants or with what a run made.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from editing import (
    CONFIG_FOLDER,
    STUDY,
    Apply,
    append,
    delete,
    discard_stage,
    relock,
    replace,
    reverse_keys,
    together,
    touch_all,
)


@dataclass(frozen=True)
class Edit:
    """One row: an edit, how many artifacts of each stage it remakes, and a pattern that all their labels match."""

    name: str
    apply: Apply
    counts: Mapping[str, int]
    only: str = ""

    def differences(self, made: Mapping[tuple[str, str], str]) -> list[str]:
        """Say how (stage, key) -> label of what was made differs from what this row expects; empty when it does not."""
        counts = Counter(stage for stage, _ in made)
        wrong = [
            f"{stage}: made {counts[stage]}, expected {self.counts.get(stage, 0)}"
            for stage in sorted({*counts, *self.counts})
            if counts[stage] != self.counts.get(stage, 0)
        ]
        strays = [label for label in sorted(made.values()) if not re.search(self.only, label)]
        return [*wrong, *(f"made, though it has nothing to do with the edit: {label}" for label in strays)]


_EVALUATION_OF_ONE = {"generate": 2, "score": 1, "judge": 2, "scores": 1}
_TABLES = {"aggregate": 1, "report": 1}
_OF_ONE_VARIANT = {"average": 1, "sft": 2, **{stage: 3 * n for stage, n in _EVALUATION_OF_ONE.items()}, **_TABLES}
_OF_BOTH = {stage: n if stage in _TABLES else 2 * n for stage, n in _OF_ONE_VARIANT.items()}
_JUDGED = {"judge": 12, "scores": 6, **_TABLES}

HEAVY = r"^micro/(math heavy 数学/|aggregate$|report$)"
TABLES = r"^micro/(aggregate|report)$"
DIALOGUE = r"/demo_dialogue_en/.*/judge$|/scores$"

REMAKING = (
    Edit(
        "one category weight of one mixture",
        replace(STUDY, "{math: 3, reasoning: 1}", "{math: 4, reasoning: 1}"),
        {"mixture": 1, "ipt": 1, **_OF_ONE_VARIANT},
        HEAVY,
    ),
    Edit(
        "a judge setting",
        append(STUDY, "judge: {rule: {same_number: 0.7}}\n"),
        _JUDGED,
        f"{DIALOGUE}|{TABLES}",
    ),
    Edit(
        "a judge prompt",
        replace(f"{CONFIG_FOLDER}/judge_prompts/en.yaml", "system: ", "system: \u00bb"),
        _JUDGED,
        f"{DIALOGUE}|{TABLES}",
    ),
    Edit(
        "the prompt of a scored benchmark",
        replace(f"{CONFIG_FOLDER}/benchmarks_declared/demo_math_en.yaml", "template: ", "template: Q"),
        {"generate": 6, "score": 6, "scores": 6, **_TABLES},
        f"/demo_math_en/|/scores$|{TABLES}",
    ),
    Edit(
        "the prompt of a judged benchmark",
        replace(f"{CONFIG_FOLDER}/benchmarks_declared/demo_dialogue_en.yaml", "template: ", "template: Q"),
        {"generate": 6, "judge": 12, "scores": 6, **_TABLES},
        f"/demo_dialogue_en/|/scores$|{TABLES}",
    ),
    Edit(
        "one SFT seed added",
        replace(STUDY, "sft_seed: [1, 2]", "sft_seed: [1, 2, 3]"),
        {"sft": 2, **{stage: 2 * n for stage, n in _EVALUATION_OF_ONE.items()}, **_TABLES},
        f"/sft_seed 3/|{TABLES}",
    ),
    Edit(
        "average over fewer of the kept snapshots",
        replace(STUDY, "average: {last: 4}", "average: {last: 3}"),
        _OF_BOTH,
        f"/average$|/average/|/sft_seed |{TABLES}",
    ),
    Edit(
        "content of one instruction source file, then mixlab lock",
        relock(append("tests/data/micro/math_en.jsonl", '{"question": "1 + 1?", "answer": "1+1=2"}\n')),
        {"source": 1, "tokenize": 1, "pack": 2, "mixture": 3, "ipt": 2, **_OF_BOTH},
        r"math_file|^micro/(even|math heavy 数学)/|^micro/mixture/sft$|" + TABLES,
    ),
    Edit(
        "content of one tokenizer source, then mixlab lock",
        relock(append("tests/data/micro/raw_en.jsonl", '{"text": "A new day began."}\n')),
        {"source": 1, "tokenizer": 1, "tokenize": 4, "pack": 5, "mixture": 4, "pretrain": 1, "ipt": 2, **_OF_BOTH},
        r"^micro/source/raw_file$|^micro/(?!source/)",
    ),
    Edit(
        "version of stage average raised",
        replace(
            "src/mixlab/plan/specs.py",
            "    averaging: AveragingSettings\n",
            "    version: int = 2\n    averaging: AveragingSettings\n",
        ),
        _OF_BOTH,
        f"/average$|/average/|/sft_seed |{TABLES}",
    ),
    Edit(
        "variant renamed",
        together(replace(STUDY, "  even:\n", "  uniform:\n"), replace(STUDY, "against: even", "against: uniform")),
        {"report": 1},
        TABLES,
    ),
    Edit("an effect renamed", replace(STUDY, "more math data, more math", "more helps"), {"report": 1}, TABLES),
    Edit("title of the report", replace(STUDY, "Micro study", "Tiny study"), {"report": 1}, TABLES),
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
        "raw data removed": delete("tests/data/micro"),
        "a source renamed, then mixlab lock": relock(replace(STUDY, "math_file", "sums", count=3)),
        "a source file renamed, then mixlab lock": relock(
            lambda root: (root / "tests/data/micro/math_en.jsonl").rename(root / "tests/data/micro/sums.jsonl"),
            replace(STUDY, "math_en.jsonl", "sums.jsonl"),
        ),
        "a licence reworded": replace(STUDY, "CC0-1.0", "public domain", count=6),
        "all ipt data discarded": discard_stage("ipt"),
        "every model deleted, not tracked": delete("artifacts/sft"),
        "every token store deleted, not tracked": delete("artifacts/tokenize"),
    }.items()
)
