"""Which models of a study are its judge."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.specs import AggregateSpec

REPOSITORY = Path(__file__).resolve().parents[3]
JUDGE = "judge: {engine: openai, endpoint: local, model: tiny%s}\n"
SERVED = "served_models: {big: {endpoint: local, model: tiny%s}, other: {endpoint: local, model: small}}\n"


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """Plan the micro study with a text that extends it."""
    (tmp_path / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")
    with (tmp_path / "config.yaml").open("a", encoding="utf-8") as stream:
        stream.write("  endpoints: {local: {url: 'http://127.0.0.1:9/v1'}}\n")

    def build(text: str, leave_out: str = "") -> Plan:
        if leave_out:
            micro = tmp_path / "studies/micro.yaml"
            lines = micro.read_text(encoding="utf-8").splitlines(keepends=True)
            micro.write_text("".join(line for line in lines if not line.startswith(leave_out)), encoding="utf-8")
        (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
        return build_plan(tmp_path, ["other"], check_files=False).plan

    return build


def find_own(plan: Plan) -> tuple[list[str], AggregateSpec]:
    """Labels of the models whose answers are the judge's own, and the spec that names them."""
    (node,) = plan.by_stage("aggregate")
    assert isinstance(node.spec, AggregateSpec)
    settings = node.spec.aggregate
    positions = [one.position for one in settings.models if (one.variant_key, one.stage) in settings.own_answers]
    return [plan.nodes[node.parents["scores"][at]].label for at in positions], node.spec


def test_a_served_model_is_the_judge_by_its_name_unless_revisions_differ(plan: Callable[[str], Plan]) -> None:
    for judge, served, same in (
        ("", "", True),
        (", revision: abc", "", True),
        (", revision: abc", ", revision: abc", True),
        (", revision: abc", ", revision: abd", False),
    ):
        labels, _ = find_own(plan(JUDGE % judge + SERVED % served))
        assert [label.split("/")[1] for label in labels] == (["big"] if same else [])
    labels, _ = find_own(plan(SERVED % ""))
    assert labels == []


def test_a_model_of_ones_own_is_the_judge_where_the_study_says_so(plan: Callable[[str], Plan]) -> None:
    before, after = plan(JUDGE % ""), plan(JUDGE % ", same_as: [even]")
    labels, _ = find_own(after)
    # two SFT seeds: the judge is not the model that they tuned
    assert len(labels) == 2
    assert all(label.startswith("other/even/") and "/sft_seed " in label for label in labels)
    changed = {node.stage for key, node in after.nodes.items() if key not in before.nodes}
    assert changed == {"aggregate", "report"}


def list_pairs(plan: Plan) -> list[tuple[str, str, str | None]]:
    """Stage of the compared model, stage of what it is compared with, which of them is the judge's own."""
    (node,) = plan.by_stage("aggregate")
    assert isinstance(node.spec, AggregateSpec)
    return sorted({(one.variant.stage, one.against.stage, one.own) for one in node.spec.aggregate.pairs}, key=str)


def test_a_pair_before_sft_is_of_no_model_that_is_the_judge_after_it(plan: Callable[..., Plan]) -> None:
    judged = JUDGE % ", same_as: [even]" + SERVED % "" + "pairwise: {comparisons: [{against: even%s}]}\n"
    assert list_pairs(plan(judged % ", stage: before_sft")) == [
        ("before_sft", "before_sft", None),
        ("served", "before_sft", "variant"),
        ("served", "before_sft", None),
    ]
    # where both are the judge's own, neither is preferred to the other
    assert list_pairs(plan(judged % "")) == [
        ("after_sft", "after_sft", "against"),
        ("served", "after_sft", "against"),
        ("served", "after_sft", None),
    ]


def test_without_sft_a_named_point_is_the_judge_before_it(plan: Callable[..., Plan]) -> None:
    text = JUDGE % ", same_as: [even]" + "pairwise: {comparisons: [{against: even}]}\nsft: null\neffects: []\n"
    labels, spec = find_own(made := plan(text))
    assert len(labels) == 1 and labels[0].startswith("other/even/")
    assert {stage for _, stage in spec.aggregate.own_answers} == {"before_sft"}
    assert list_pairs(made) == [("before_sft", "before_sft", "against")]


def test_an_unknown_point_is_told_with_its_address(plan: Callable[[str], Plan]) -> None:
    with pytest.raises(ConfigError, match=r"other.yaml:2: judge.same_as\[0\].*'evn'.*did you mean 'even'"):
        plan(JUDGE % ", same_as: [evn]")


def test_scores_of_a_judged_study_have_the_rated_answers_for_parents(plan: Callable[..., Plan]) -> None:
    made = plan("")
    for node in made.by_stage("scores"):
        judged = [made.nodes[key] for key in node.parents["results"] if made.nodes[key].stage == "judge"]
        assert node.parents["responses"] == tuple(dict.fromkeys(one.parents["responses"][0] for one in judged))
        assert judged
    assert made.by_stage("scores")
    unjudged = plan("", leave_out="  demo_dialogue_en:")
    assert unjudged.by_stage("scores") and not unjudged.by_stage("judge")
    assert all("responses" not in node.parents for node in unjudged.by_stage("scores"))
