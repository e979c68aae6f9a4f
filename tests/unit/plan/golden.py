"""Golden keys: what the micro study's artifacts are called. A changed key means that finished work is made again.

To accept new keys on purpose: `python tests/unit/plan/golden.py --write`, and say in the commit which stages re-key.
"""

import json
import sys
from pathlib import Path

from mixlab.config.base_models import BaseModelSettings, ModelFile, ModelFiles
from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.pairwise import PairConfig, PairwiseConfig
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.specs import BaseModelSpec, JudgePairsSpec

REPOSITORY = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).with_name("golden_keys.json")
REFRESH = "python tests/unit/plan/golden.py --write"

READ_FILES = ("config.json", "model.safetensors")

Keys = dict[str, dict[str, str]]
"""Stage -> label -> key."""


def plan_micro(root: Path = REPOSITORY) -> Plan:
    """Plan the micro study from the committed lock, whatever the files on this machine are."""
    return build_plan(root, ["micro"], check_files=False).plan


def plan_every_stage() -> Plan:
    """Plan the micro study, which trains its base model and has a rule as judge; beside it a model and a judge."""
    plan = plan_micro()
    (tokenizer,) = plan.by_stage("tokenizer")
    files = tuple(ModelFile(name=name, digest=digit * 64) for name, digit in zip(READ_FILES, "ab", strict=True))
    settings = BaseModelSettings(origin=ModelFiles(files=files))
    plan.add(BaseModelSpec(base_model=settings), {"tokenizer": (tokenizer.key,)}, "micro/base_model/read")
    judge = ModelJudgeConfig(engine="openai", model="judge", endpoint="none")
    compared = PairwiseConfig(comparisons=(PairConfig(against="even"),)).to_settings(judge, "en")
    rated = [node for node in plan.by_stage("judge") if "judge_run 1" in node.label]
    first, second = sorted(node.parents["responses"][0] for node in rated[:2])
    parents = {"responses_a": (first,), "responses_b": (second,), "items": rated[0].parents["items"]}
    plan.add(JudgePairsSpec(judge=compared, judge_run=1), parents, "micro/judge_pairs/one")
    return plan


def list_keys(plan: Plan) -> Keys:
    """List a plan's keys by stage and first label, sorted."""
    keys: Keys = {}
    for node in sorted(plan.nodes.values(), key=lambda node: node.label):
        keys.setdefault(node.stage, {})[node.label] = node.key
    return keys


def read_golden() -> Keys:
    """Read the pinned keys."""
    keys: Keys = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return keys


def find_drift(pinned: Keys, current: Keys) -> list[str]:
    """Say, stage by stage, which keys are not the pinned ones."""
    drift = []
    for stage in dict.fromkeys((*current, *pinned)):
        before, after = pinned.get(stage, {}), current.get(stage, {})
        changed = [label for label in after if label in before and after[label] != before[label]]
        added, lost = sorted(set(after) - set(before)), sorted(set(before) - set(after))
        for what, labels in (("changed", changed), ("not pinned", added), ("no longer planned", lost)):
            if labels:
                drift.append(f"{stage}: {len(labels)} {what}, e.g. {labels[0]}")
    return drift


def main() -> None:
    """Show the drift, or pin the current keys with --write."""
    current = list_keys(plan_every_stage())
    for line in find_drift(read_golden() if GOLDEN.exists() else {}, current):
        print(line)
    if "--write" in sys.argv[1:]:
        GOLDEN.write_text(json.dumps(current, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
