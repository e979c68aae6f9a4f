"""Validation during training in the plan: whose keys it changes, what it asks for, and what it must not be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan

REPOSITORY = Path(__file__).resolve().parents[3]

PlanStudy = Callable[[str], Plan]


def declare(name: str, world: int, **changes: str) -> str:
    """A source of generated dialogues on mathematics."""
    source = {"kind": "instruction", "language": "en", "category": "math", "licence": "CC0-1.0", **changes}
    origin = f"{{type: generator, name: invented_world, size: 20, options: {{language: en, world_seed: {world}"
    category = ", category: math" if source["kind"] == "instruction" else ""
    said = ", ".join(f"{key}: {value}" for key, value in source.items() if value)
    return f"  {name}: {{{said}, origin: {origin}{category}}}}}}}\n"


HELD = "sources:\n" + declare("held_math", 5) + declare("held_raw", 5, kind="raw", category="")
ASKED = "{sources: [held_math, held_raw], every_steps: 2, windows: 3}"


@pytest.fixture
def plan_study(tmp_path: Path) -> PlanStudy:
    """Plan the micro study with a text that extends it."""
    (tmp_path / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")

    def plan(text: str) -> Plan:
        (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
        return build_plan(tmp_path, ["other"], check_files=False).plan

    return plan


def list_keys(plan: Plan) -> set[tuple[str, str]]:
    return {node.name for node in plan.nodes.values()}


def test_a_validated_run_is_another_artifact_with_the_held_out_packs_among_its_parents(plan_study: PlanStudy) -> None:
    before, plan = plan_study(HELD), plan_study(f"{HELD}ipt: {{validation: {ASKED}}}\n")
    gone = {stage for stage, _ in list_keys(before) - list_keys(plan)}
    assert {"ipt", "average", "sft", "generate", "report"} <= gone
    assert gone.isdisjoint({"pretrain", "mixture", "pack", "tokenize", "counts", "contamination"})
    for node in plan.by_stage("ipt"):
        packs, stores = node.parents["validation"], node.reads["validation_stores"]
        assert list(packs) == sorted(packs)
        labels = [plan.nodes[key].label.split("/")[3] for key in packs]
        cells = [(cell.language, cell.category) for cell in node.spec.validation.cells]
        assert dict(zip(labels, cells, strict=True)) == {"held_math": ("en", "math"), "held_raw": ("en", "raw")}
        assert [plan.nodes[key].parents["tokens"] for key in packs] == [(store,) for store in stores]
        assert (node.spec.validation.every_steps, node.spec.validation.windows) == (2, 3)
    assert len(plan.by_stage("ipt")) == len(before.by_stage("ipt")) > 0


def test_the_names_of_held_out_sources_and_their_order_are_part_of_no_key(plan_study: PlanStudy) -> None:
    keys = list_keys(plan_study(f"{HELD}ipt: {{validation: {ASKED}}}\n"))
    renamed = HELD.replace("held_", "other_")
    pooled = "pools: {held: {sources: [other_raw, other_math]}}\n"
    turned = "{sources: [held], every_steps: 2, windows: 3}"
    assert list_keys(plan_study(f"{renamed}{pooled}ipt: {{validation: {turned}}}\n")) == keys


def test_pretraining_and_sft_are_validated_too_with_their_own_windows(plan_study: PlanStudy) -> None:
    one = "{sources: [held_math], every_steps: 1}"
    plan = plan_study(f"{HELD}base_models: {{tiny: {{validation: {one}}}}}\nsft: {{validation: {one}}}\n")
    for stage, layout in (("pretrain", "packed"), ("sft", "one_per_window")):
        (packs,) = {node.parents["validation"] for node in plan.by_stage(stage)}
        assert [plan.nodes[key].spec.pack.layout for key in packs] == [layout]
    assert ["validation" in node.parents for node in plan.by_stage("ipt")].count(True) == 0 < len(plan.by_stage("ipt"))


def test_one_base_model_may_be_validated_alone(plan_study: PlanStudy) -> None:
    whole = plan_study(f"{HELD}ipt: {{validation: {ASKED}}}\n")
    alone = plan_study(f"{HELD}base_models: {{tiny: {{overrides: {{ipt: {{validation: {ASKED}}}}}}}}}\n")
    assert list_keys(alone) == list_keys(whole)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ipt: {validation: {sources: [held_maths], every_steps: 1}}", "no source is named 'held_maths'; did you mean"),
        ("ipt: {validation: {sources: [test_math_en], every_steps: 1}}", "'test_math_en' is a benchmark; validation"),
        ("ipt: {validation: {sources: [], every_steps: 1}}", "ipt.validation.sources"),
        ("ipt: {validation: {sources: [raw_ja], every_steps: 1}}", "'raw_ja' is in the mixture of "),
        ("ipt: {validation: {sources: [reasoning_ja/math], every_steps: 1}}", "'reasoning_ja' is in the mixture of "),
        ("sft: {validation: {sources: [held_raw], every_steps: 1}}", "'held_raw' is raw text; with `loss: response`"),
        (
            "base_models: {tiny: {validation: {sources: [math_file], every_steps: 1}}}",
            "'math_file' is in the mixture of ",
        ),
    ],
)
def test_what_validation_cannot_be_is_told_with_its_address(plan_study: PlanStudy, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_study(f"{HELD}{text}\n")
    assert told in str(caught.value)
    assert "validation" in caught.value.problems[0].key
    assert caught.value.problems[0].line > 0


def test_records_that_a_mixture_has_under_another_name_are_not_held_out(plan_study: PlanStudy) -> None:
    twin = HELD + "  twin: {kind: raw, language: ja, licence: CC0-1.0, origin: {type: generator, name: invented_world, "
    twin += "size: 10, options: {language: ja, world_seed: 3}}}\n"
    with pytest.raises(ConfigError, match=r"sources\[0\]: 'twin' has records of 'raw_ja', which is in the mixture of"):
        plan_study(f"{twin}ipt: {{validation: {{sources: [twin], every_steps: 1}}}}\n")


def test_a_held_out_source_counts_as_used_so_that_its_licence_is_looked_at(plan_study: PlanStudy) -> None:
    closed = HELD.replace("licence: CC0-1.0", "licence: CC-BY-NC-4.0")
    assert plan_study(closed).nodes
    with pytest.raises(ConfigError, match=r"licence CC-BY-NC-4\.0"):
        plan_study(f"{closed}ipt: {{validation: {ASKED}}}\n")
