"""How a study asks a benchmark: several samples, and worked examples from a source; what of it enters which key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.config.benchmarks import load_declaration
from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.specs import GenerateSpec

REPOSITORY = Path(__file__).resolve().parents[3]
FACTS = """\
sources:
  facts: {kind: benchmark, licence: CC0-1.0, origin: {type: generator, name: invented_world, size: 9,
    options: {language: en, category: general, world_seed: 5}}}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Callable[[str], Plan]:
    """Plan the micro study with a text that extends it."""
    (tmp_path / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")

    def build(text: str) -> Plan:
        (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
        return build_plan(tmp_path, ["other"], check_files=False).plan

    return build


def ask(options: str) -> str:
    return f"benchmarks: {{demo_math_en: {{{options}}}}}\n"


def keys(plan: Plan, stage: str) -> set[str]:
    return {node.key for node in plan.by_stage(stage)}


def test_one_sample_is_what_a_study_without_samples_asks(plan: Callable[[str], Plan]) -> None:
    before = plan("")
    assert keys(plan(ask("samples: 1")), "generate") == keys(before, "generate")
    assert keys(plan(ask("majority: false")), "score") == keys(before, "score")


def test_samples_ask_again_and_measures_over_them_only_score_again(plan: Callable[[str], Plan]) -> None:
    once = plan(ask("samples: 4, temperature: 0.8"))
    more = plan(ask("samples: 4, temperature: 0.8, pass_at: [1, 4], majority: true"))
    changed = keys(once, "generate") - keys(plan(""), "generate")
    assert len(changed) == len(once.by_stage("generate")) // 2
    assert keys(once, "generate") == keys(more, "generate")
    assert len(keys(more, "score") - keys(once, "score")) == len(changed)
    prompts = {node.spec.prompt.samples for node in once.by_stage("generate") if isinstance(node.spec, GenerateSpec)}
    assert prompts == {1, 4}


def test_longer_responses_are_asked_again_and_where_they_are_as_declared_nothing_changes(
    plan: Callable[[str], Plan],
) -> None:
    before, declared = plan(""), load_declaration("demo_math_en").prompt.sampling.max_new_tokens
    assert keys(plan(ask(f"max_new_tokens: {declared}")), "generate") == keys(before, "generate")
    after = plan(ask("max_new_tokens: 255"))
    changed = keys(after, "generate") - keys(before, "generate")
    asked = {after.nodes[key].spec.prompt.sampling.max_new_tokens for key in changed}
    assert (len(changed), asked) == (len(before.by_stage("generate")) // 2, {255})
    with pytest.raises(ConfigError, match=r"benchmarks\.demo_math_en\.max_new_tokens: expected .*got 0"):
        plan(ask("max_new_tokens: 0"))


def test_responses_that_no_prompt_fits_beside_are_refused_also_as_declared(plan: Callable[[str], Plan]) -> None:
    told = (
        r"other\.yaml:\d+: benchmarks\.demo_math_en\.max_new_tokens: responses of 256 tokens leave no room for "
        r"a prompt in max_positions 256 of 'tiny', so nothing would be asked; lower max_new_tokens of the"
    )
    with pytest.raises(ConfigError, match=told):
        plan(ask("max_new_tokens: 256"))
    small = "base_models: {tiny: {model: {max_positions: %d}, sequence_tokens: 16}}\n"
    study = "ipt: {sequence_tokens: 16}\nsft: {sequence_tokens: 16}\n" + small
    with pytest.raises(ConfigError, match=r"benchmarks\.demo_dialogue_en: responses of 40 tokens .*max_positions 40"):
        plan(study % 40)
    assert plan(study % 41).nodes


def test_worked_examples_are_a_parent_of_the_responses_and_of_nothing_else(plan: Callable[[str], Plan]) -> None:
    made = plan(f"{FACTS}benchmarks: {{mmlu: {{data: facts, examples: facts}}}}\n")
    (facts,) = {node.key for node in made.by_stage("source") if node.label.endswith("/facts")}
    shown = [node for node in made.by_stage("generate") if "examples" in node.parents]
    assert shown
    assert {node.parents["examples"] for node in shown} == {(facts,)}
    assert [node.stage for node in made.nodes.values() if "examples" in node.parents and node.stage != "generate"] == []


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (ask("samples: 4"), "benchmarks.demo_math_en", "at temperature 0"),
        (ask("samples: 4, temperature: 1, pass_at: [5]"), "benchmarks.demo_math_en", "pass_at 5 needs as many"),
        (ask("samples: 4, temperature: 1, pass_at: [2, 1]"), "benchmarks.demo_math_en", "must rise"),
        (ask("majority: true"), "benchmarks.demo_math_en", "several samples"),
        (ask("examples: math_file"), "benchmarks.demo_math_en.examples", "is a source of kind instruction"),
        (ask("examples: nowhere"), "benchmarks.demo_math_en.examples", "nowhere"),
        (f"{FACTS}{ask('examples: facts')}", "benchmarks.demo_math_en.examples", "shows no examples"),
        (f"{FACTS}benchmarks: {{mmlu: {{data: facts}}}}\n", "benchmarks.mmlu", "shows 5 worked examples"),
    ],
)
def test_what_cannot_be_asked_is_told_where_it_was_written(
    plan: Callable[[str], Plan], text: str, key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(text)
    (problem,) = [one for one in caught.value.problems if words in one.message]
    assert problem.key == key
