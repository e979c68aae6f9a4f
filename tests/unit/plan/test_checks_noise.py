"""The noise a study expects: what is wrong with it, what it can find, and that it decides no key."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.cli._detectable import list_detectable, render_detectable
from mixlab.config.problems import ConfigError
from mixlab.config.study import Study
from mixlab.plan.build import Planned, build_plan

REPOSITORY = Path(__file__).resolve().parents[3]
Plan = Callable[[str], Planned]
EFFECT = "more math data, more math"
KNOWN = "noise: {measures: {accuracy: {ipt_seed: 0.02, sft_seed: 0.01, answer: 0.3}}}\n"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Plan the micro study with a text that extends it."""
    (tmp_path / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")

    def build(text: str) -> Planned:
        (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
        return build_plan(tmp_path, ["other"], check_files=False)

    return build


def find(study: Study, level: str) -> dict:
    (row,) = [row for row in list_detectable(study) if row["level"] == level]
    return row


def test_expected_noise_decides_no_key(plan: Plan) -> None:
    assert set(plan(KNOWN).plan.nodes) == set(plan("").plan.nodes)


def test_a_study_without_expected_noise_says_nothing(plan: Plan) -> None:
    study = plan("").studies["other"]
    assert (list_detectable(study), render_detectable("other", study, [])) == ([], "")


def test_too_few_seeds_are_told_with_what_would_help(plan: Plan) -> None:
    study = plan(KNOWN).studies["other"]
    row = find(study, "these models")
    # claimed is .01; two SFT seeds leave one degree of freedom, and eight items answer noise of .3 / sqrt 8
    assert (row["effect"], row["test"], row["verdict"]) == (EFFECT, "paired_t", "cannot succeed: too little")
    assert row["detectable"] > 0.01
    assert row["power"] < 0.1
    assert "judge_run" not in row["needs"]
    recipe = find(study, "this recipe")
    assert (recipe["detectable"], recipe["note"]) == (None, "not estimable: one IPT seed")
    text = render_detectable("other", study, list_detectable(study))
    assert text.startswith("other: smallest differences found with 80% power at 5 %")
    assert "cannot succeed; not estimable: one IPT seed" in text
    assert "cannot succeed: too little; accuracy has no difference that large" in text


def test_enough_seeds_are_told_to_be_enough(plan: Plan) -> None:
    seeds = "seeds: {ipt_seed: [1, 2, 3, 4], sft_seed: [1, 2, 3]}\n"
    noise = "noise: {measures: {accuracy: {ipt_seed: 0.001, sft_seed: 0.001}}}\n"
    study = plan(seeds + noise).studies["other"]
    assert [row["verdict"] for row in list_detectable(study)] == ["can be found"] * 2
    assert json.dumps(list_detectable(study))


def test_a_measure_without_noise_is_not_known(plan: Plan) -> None:
    study = plan("noise: {measures: {judge_score: {sft_seed: 0.1}}}\n").studies["other"]
    assert find(study, "these models")["note"] == "noise.measures says nothing of accuracy"


def test_items_given_by_hand_go_before_those_of_a_generator(plan: Plan) -> None:
    few, many = (
        find(plan(f"{KNOWN[:-2]}, items: {{demo_math_en: {count}}}}}\n").studies["other"], "these models")
        for count in (8, 8000)
    )
    assert few["detectable"] == find(plan(KNOWN).studies["other"], "these models")["detectable"]
    assert many["detectable"] < few["detectable"]


@pytest.mark.parametrize(
    ("noise", "told"),
    [
        (
            "{measures: {accuracy: {sft_seed: 0.1}}, items: {demo_math: 3}}",
            "no benchmark is named 'demo_math'; did you mean",
        ),
        ("{measures: {accuracy: {sft_seed: -0.1}}}", "noise.measures.accuracy.sft_seed"),
        ("{measures: {accuracy: {sft_seed: 0.1, judge_run: 0.1}}}", "no judge gives accuracy"),
        ("{measures: {}}", "noise.measures"),
        ("{measures: {accuracy: {sft_seed: 0.1}}, power: 1}", "noise.power"),
    ],
)
def test_a_mistake_in_it_is_told_with_its_place(plan: Plan, noise: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        plan(f"noise: {noise}\n")
    assert told in str(error.value)
    assert "studies/other.yaml:2" in str(error.value)


def test_answers_that_vary_need_the_number_of_items(plan: Plan) -> None:
    files = (
        "sources: {test_math_en: {kind: benchmark, licence: CC0-1.0, origin: {type: files, root: micro, "
        'paths: [math_en.jsonl], format: jsonl, fields: {question: "{question}", answer: "{answer}"}}}}\n'
    )
    with pytest.raises(ConfigError) as error:
        plan(files + KNOWN)
    assert "not how many items 'demo_math_en' has" in str(error.value)


def test_a_study_is_planned_at_the_level_that_holm_leaves_its_effects(plan: Plan) -> None:
    seeds = "seeds: {ipt_seed: [1, 2, 3, 4], sft_seed: [1, 2, 3]}\n"
    claims = "".join(
        f"  - {{name: '{name}', variant: math heavy 数学, against: even, stage: after_sft, at_least: 0.01}}\n"
        for name in ("one", "two", "three", "four")
    )
    one, four = (plan(f"{seeds}{KNOWN}{text}").studies["other"] for text in ("", f"effects:\n{claims}"))
    for level in ("these models", "this recipe"):
        alone = find(one, level)
        rows = [row for row in list_detectable(four) if row["level"] == level]
        assert [row["family"] for row in rows] == [4] * 4
        assert (alone["family"], alone["uncorrected"]) == (1, alone["detectable"])
        assert rows[0]["uncorrected"] == pytest.approx(alone["detectable"])
        assert rows[0]["detectable"] > 1.1 * alone["detectable"]
        assert rows[0]["power"] < alone["power"]


def test_a_benchmark_with_a_mistake_is_told_beside_expected_noise(plan: Plan) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(KNOWN + "benchmarks: {demo_math_en: {repair_prompts: true}}\n")
    (problem,) = caught.value.problems
    assert problem.key == "benchmarks.demo_math_en"
