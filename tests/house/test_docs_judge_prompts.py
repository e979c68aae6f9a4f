"""docs/judge-prompts.md: the judges that it shows are planned with the real files."""

import shutil
from pathlib import Path

import pytest
import yaml
from docs_blocks import REPOSITORY, read_blocks

from mixlab.config.judge_files import FASTCHAT_RATINGS
from mixlab.config.judge_templates import PublishedPrompts
from mixlab.plan.build import build_plan
from mixlab.plan.specs import JudgeSpec

DOCUMENT = REPOSITORY / "docs/judge-prompts.md"


@pytest.mark.shared
def test_the_judges_of_the_document_are_planned_with_the_real_files(tmp_path: Path, shared_data: Path) -> None:
    first, second = (yaml.safe_load(block.text) for block in read_blocks(DOCUMENT) if block.language == "yaml")
    judge = first["judge"]
    found = plan(tmp_path / "both", shared_data, judge)
    assert {language: (prompts.turns, prompts.ratings) for language, prompts in found.items()} == {
        "en": (2, FASTCHAT_RATINGS),
        "ja": (2, (r"\[\[(10|[1-9])\]\]",)),
    }
    prompts = {**judge["prompts"], **second["judge"]["prompts"]}
    found = plan(tmp_path / "alone", shared_data, {**judge, "prompts": prompts})
    assert (found["en"].turns, found["ja"].turns) == (2, 1)
    assert found["ja"].first.system == "あなたは有益な助手です。"


def plan(root: Path, shared: Path, judge: object) -> dict[str, PublishedPrompts]:
    """Plan the study of real data with a judge; return its prompts by language."""
    (root / "studies").mkdir(parents=True)
    shutil.copy2(REPOSITORY / "sources.lock", root)
    text = (REPOSITORY / "studies/real_small.yaml").read_text("utf-8")
    (root / "studies/real_small.yaml").write_text(f"{text}\n{yaml.safe_dump({'judge': judge})}", "utf-8")
    roots = f"{{shared: '{shared}', stdlib: 'sysconfig:stdlib'}}"
    (root / "config.yaml").write_text(f"study: real_small\nmachine: {{data_roots: {roots}}}\n")
    nodes = build_plan(root, ["real_small"], check_files=False).plan.by_stage("judge")
    judges = [node.spec.judge for node in nodes if isinstance(node.spec, JudgeSpec)]
    assert all(one.reference_categories == ("math", "reasoning", "coding") for one in judges)
    return {one.language: one.prompts for one in judges if isinstance(one.prompts, PublishedPrompts)}
