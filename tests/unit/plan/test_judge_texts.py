"""Published judge prompts in a plan: their texts enter the keys, where they lie does not, and no mistake is a job's."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mixlab.config.judge_files import PAIR, SINGLE
from mixlab.config.judge_templates import PublishedPrompts
from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.specs import JudgePairsSpec, JudgeSpec

REPOSITORY = Path(__file__).resolve().parents[3]
PLACES = ("{question} {answer}", "{ref_answer_1} {question} {answer}", "{question_2} {answer_2}")
TEMPLATES = dict(zip(SINGLE.values(), (*PLACES, f"{PLACES[-1]} {{ref_answer_2}}"), strict=True))
PAIRS = ("{question} {answer_a} {answer_b}", "{question_2} {answer_a_2} {answer_b_2}")
PAIR_TEXTS = (PAIRS[0], f"{PAIRS[0]} {{ref_answer_1}}", PAIRS[1], f"{PAIRS[1]} {{ref_answer_2}}")
Kind = tuple[dict[str, str], dict[str, str]]
SINGLE_KIND: Kind = (TEMPLATES, {"type": "single", "output_format": "[[rating]]"})
PAIR_KIND: Kind = (
    dict(zip(PAIR.values(), PAIR_TEXTS, strict=True)),
    {"type": "pairwise", "output_format": "[[A]]"},
)
JUDGE = "judge:\n  engine: openai\n  model: tiny\n  endpoint: local\n  prompts: {en: {%s}}\n"

Build = Callable[..., Plan]


def write_prompts(path: Path, kind: Kind = SINGLE_KIND, **changes: str) -> None:
    """Write a file of FastChat's form; `kind` says what its templates are for."""
    templates, told = kind
    path.parent.mkdir(parents=True, exist_ok=True)
    cards = [
        {"name": name, "prompt_template": text, "system_prompt": "S", **told}
        for name, text in (templates | changes).items()
    ]
    path.write_text("".join(f"{json.dumps(card)}\n" for card in cards), "utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "studies").mkdir()
    for name in ("sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text("utf-8"), "utf-8")
    (tmp_path / "config.yaml").write_text(
        "study: micro\nmachine: {data_roots: {micro: none, shelf: elsewhere/shelf}}\n"
    )
    return tmp_path


@pytest.fixture
def plan(root: Path) -> Build:
    """Plan the micro study with a judge whose prompts are a file."""

    def build(prompts: str, **named: Path) -> Plan:
        text = prompts if "judge:" in prompts else JUDGE % prompts
        (root / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
        return build_plan(root, ["other"], check_files=False, **named).plan

    return build


def keys(plan: Plan) -> set[str]:
    return {node.key for node in plan.by_stage("judge")}


def told(plan: Build, prompts: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        plan(prompts)
    return str(error.value).splitlines()


def test_texts_enter_the_keys_and_their_place_does_not(root: Path, plan: Build) -> None:
    write_prompts(root / "studies/texts/a.jsonl")
    write_prompts(root / "elsewhere/shelf/b.jsonl")
    first = plan("published: studies/texts/a.jsonl, format: fastchat")
    assert keys(first)
    assert keys(plan("published: b.jsonl, root: shelf, format: fastchat")) == keys(first)
    write_prompts(root / "studies/texts/a.jsonl", **{"single-v1": "other {question} {answer}"})
    changed = plan("published: studies/texts/a.jsonl, format: fastchat")
    assert not keys(changed) & keys(first)
    assert {node.key for node in changed.by_stage("generate")} == {node.key for node in first.by_stage("generate")}


def test_a_job_finds_the_texts_in_its_plan(root: Path, plan: Build) -> None:
    write_prompts(root / "a.jsonl")
    specs = [node.spec for node in plan("published: a.jsonl, format: fastchat, turns: 1").by_stage("judge")]
    (spec,) = {repr(one): one for one in specs if isinstance(one, JudgeSpec) and one.judge_run == 1}.values()
    assert isinstance(spec.judge.prompts, PublishedPrompts)
    assert (spec.judge.prompts.first.template, spec.judge.prompts.turns) == (TEMPLATES["single-v1"], 1)
    assert spec.judge.reference_categories == ("math", "reasoning", "coding")
    assert JudgeSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_data_root_may_lie_beside_another_folder_than_the_study(root: Path, plan: Build, tmp_path: Path) -> None:
    base = tmp_path / "base"
    write_prompts(base / "elsewhere/shelf/b.jsonl")
    assert keys(plan("published: b.jsonl, root: shelf, format: fastchat", data_base=base))


@pytest.mark.parametrize(
    ("prompts", "start", "end"),
    [
        (
            "published: a.json, format: fastchat",
            "studies/other.yaml:6: judge.prompts.en.published: no such file: a.json; did you mean 'a.jsonl'?; ",
            "keep it in the working folder, or fetch the data root",
        ),
        (
            "published: a.jsonl, root: shelv, format: fastchat",
            "studies/other.yaml:6: judge.prompts.en.root: no data root is named 'shelv'; did you mean 'shelf'?; ",
            "in config.yaml",
        ),
        (
            "published: a.jsonl, format: fastcat",
            "studies/other.yaml:6: judge.prompts.en.format: ",
            "got 'fastcat'; did you mean 'fastchat'?",
        ),
        (
            "published: ../a.jsonl, format: fastchat",
            "studies/other.yaml:6: judge.prompts.en.published: '../a.jsonl'",
            "",
        ),
        ("publishd: a.jsonl, format: fastchat", "studies/other.yaml:6: judge.prompts.en.publishd: unknown key", ""),
        ("published: a.jsonl", "studies/other.yaml:6: judge.prompts.en.format: missing", ""),
    ],
)
def test_a_mistake_in_the_study_is_told_with_its_line(
    root: Path, plan: Build, prompts: str, start: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    write_prompts(root / "a.jsonl")
    (line,) = told(plan, prompts)
    assert line.startswith(start) and line.endswith(end)


def test_a_file_that_would_be_taken_for_a_study_is_refused(
    root: Path, plan: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    cards = {name: {"regex": r"(\d)", "prompt_template": t, "system_prompt": "S"} for name, t in TEMPLATES.items()}
    for path in (root / "studies/prompts.yaml", root / "studies/prompts/ours.yaml"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(cards), "utf-8")
    assert keys(plan("published: studies/prompts/ours.yaml, format: llm_jp_judge"))
    assert told(plan, "published: studies/prompts.yaml, format: llm_jp_judge") == [
        "studies/other.yaml:6: judge.prompts.en.published: studies/prompts.yaml would be taken for a study, as every "
        "YAML file of studies/ is; move it into a folder below, such as studies/prompts/"
    ]


def test_mistakes_in_the_files_of_both_languages_are_told_at_once(
    root: Path, plan: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    write_prompts(root / "a.jsonl", **{"single-v1": "{question}"})
    write_prompts(root / "b.jsonl", **{"single-math-v1": "{question} {answer}"})
    lines = told(plan, "published: a.jsonl, format: fastchat}, ja: {published: b.jsonl, format: fastchat")
    assert [line.split(": ")[0] for line in lines] == ["a.jsonl:1", "b.jsonl:2"]


def test_a_rule_reads_no_published_prompts(root: Path, plan: Build) -> None:
    (line,) = told(plan, "judge: {prompts: {en: {published: a.jsonl, format: fastchat}}}\n")
    assert "published prompts are for a language model, and the judge here is a rule: name a model" in line


def test_a_language_without_prompts_is_refused(root: Path, plan: Build) -> None:
    write_prompts(root / "a.jsonl")
    text = (JUDGE % "published: a.jsonl, format: fastchat").replace("{en:", "{ja:")
    (line,) = told(plan, text)
    assert "judge.prompts has no prompts for 'en'; add them or leave judge.prompts out" in line


def test_ratings_and_comparisons_of_a_study_see_the_same_references(root: Path, plan: Build) -> None:
    write_prompts(root / "a.jsonl")
    write_prompts(root / "pairs.jsonl", kind=PAIR_KIND)
    for more in ("", ", prompts: {en: {published: pairs.jsonl, format: fastchat}}"):
        for given in (None, ["math"]):
            text = JUDGE % "published: a.jsonl, format: fastchat"
            text += "" if given is None else f"  reference_categories: {given}\n"
            made = plan(f"{text}pairwise: {{comparisons: [{{against: even}}]{more}}}\n")
            seen = {
                (node.stage, node.spec.judge.reference_categories)
                for node in (*made.by_stage("judge"), *made.by_stage("judge_pairs"))
                if isinstance(node.spec, JudgeSpec | JudgePairsSpec)
            }
            expected = tuple(given) if given else ("math", "reasoning", "coding")
            assert seen == {("judge", expected), ("judge_pairs", expected)}


def test_published_pair_templates_enter_the_keys_of_comparisons(root: Path, plan: Build) -> None:
    study = (
        "judge: {engine: openai, model: tiny, endpoint: local}\n"
        "pairwise: {comparisons: [{against: even}], prompts: {en: {published: %s, format: %s}}}\n"
    )
    ours = plan(study.replace(", prompts: {en: {published: %s, format: %s}}", ""))
    write_prompts(root / "a.jsonl", kind=PAIR_KIND)
    write_prompts(root / "b.jsonl", kind=PAIR_KIND)
    first = plan(study % ("a.jsonl", "fastchat"))
    names = {node.key for node in first.by_stage("judge_pairs")}
    assert names and not names & {node.key for node in ours.by_stage("judge_pairs")}
    assert {node.key for node in plan(study % ("b.jsonl", "fastchat")).by_stage("judge_pairs")} == names
    assert keys(first) == keys(ours)
    (line,) = told(plan, study % ("a.jsonl", "llm_jp_judge"))
    assert line.endswith("a.jsonl: llm_jp_judge has no templates that compare two answers; name a file of fastchat")
