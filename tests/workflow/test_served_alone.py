"""A study of models that somebody serves and of no other, from its file to its report."""

import csv
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import REPOSITORY
from click.testing import Result
from editing import STUDY
from scripted_server import Answer, serve

from mixlab.artifacts.store import Store
from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.workflow import open_workflow
from mixlab.stages import aggregate, generate, judge, report, score, scores, source
from mixlab.stages.doorway import Host, main

Invoke = Callable[..., Result]

HOSTS: dict[str, Host] = {
    "source": source.run,
    "generate": generate.run,
    "score": score.run,
    "judge": judge.run,
    "scores": scores.run,
    "aggregate": aggregate.run,
    "report": report.run,
}


@pytest.fixture
def alone(micro: Path) -> str:
    """The document's own study in a working folder, beside the micro study."""
    *_, text = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs/generation.md").read_text("utf-8"), re.DOTALL)
    (micro / "studies/alone.yaml").write_text(text, encoding="utf-8")
    return str(text)


def test_a_study_of_served_models_alone_goes_from_its_file_to_its_report(
    alone: str, micro: Path, invoke: Invoke
) -> None:
    with serve(lambda question, count: Answer("Hm. 7"), models=("qwen3-32b-instruct", "qwen3-4b-instruct")) as server:
        with (micro / "config.yaml").open("a", encoding="utf-8") as stream:
            stream.write(f"  endpoints: {{lab: {{url: '{server.url}', max_retries: 1}}}}\n")
        flow = open_workflow(micro, {"study": "alone"}, True, {})
        nodes = flow.plan.nodes.values()
        counts = {"source": 2, "generate": 4, "score": 2, "judge": 2, "scores": 2, "aggregate": 1, "report": 1}
        assert Counter(node.stage for node in nodes) == counts
        for stage, host in HOSTS.items():
            keys = [node.key for node in flow.plan.by_stage(stage)]
            main(stage, host, ["--plan", str(flow.plan_file), "--key", *keys])
        assert len(server.requests) == 2 * (8 + 4 * 2)
    (key,) = flow.plan.targets["alone"]
    folder = Store(micro).open("report", key)
    text = (folder / "report.md").read_text("utf-8")
    assert "large" in text and "small" in text and "size helps" in text
    (gathered,) = flow.plan.by_stage("aggregate")
    with (Store(micro).open(*gathered.name) / "scores.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert Counter((row["stage"], row["benchmark"]) for row in rows) == {
        ("served", "demo_math_en"): 2 * 8,
        ("served", "demo_dialogue_en"): 2 * 4 * 2,
    }
    for arguments in (["plan", "alone"], ["price", "--study", "alone"], ["certificate", "alone"]):
        assert invoke(*arguments).exit_code == 0
    told = invoke("counts", "alone")
    assert (told.exit_code, "study 'alone' trains no model" in told.stderr) == (2, True)


MISTAKES = {
    "nothing": (
        "title: Nothing\nbenchmarks: {demo_math_en: {data: sums}}\n",
        ("alone.yaml:1: nothing is evaluated: give base_models, variants and ipt, which make models, or",),
    ),
    "variants without what makes them": (
        "variants: {even: {sources: [sums], budget: {tokens: 10}}}\n",
        ("base_models: missing; variants make no model without it", "ipt: missing; variants make no model without it"),
    ),
    "models without variants": (
        "base_models: {tiny: {type: hub, id: a/b, tokenizer: bpe}}\n",
        ("variants: missing; base_models make no model without it", "base_models.tiny"),
    ),
    "tuning of nothing": (
        "sft: {mixture: {sources: [sums], budget: {samples: 4}}, sequence_tokens: 96, training: {optimizer: {name: "
        "adamw, learning_rate: 0.1}, schedule: {name: constant}, global_batch_windows: 1}}\n",
        ("sft: there are no variants to be tuned; give base_models, variants and ipt, or remove sft",),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_study_that_evaluates_nothing_or_half_makes_its_models_is_told_so(
    name: str, alone: str, micro: Path, invoke: Invoke
) -> None:
    written, told = MISTAKES[name]
    if name == "nothing":
        alone = re.sub(r"title:.*\n", "", alone.partition("served_models:")[0])
    (micro / "studies/alone.yaml").write_text(alone + written, encoding="utf-8")
    result = invoke("plan", "alone")
    assert result.exit_code == 2
    for words in told:
        assert words in result.stderr


IDLE = """
seeds: {ipt_seed: [1, 2], mixture_seed: [1, 2], sft_seed: [1, 2], generation_seed: [1, 2]}
average: {last: 3}
chat: {user_prefix: "Q: "}
engine: {engine: hf}
architectures: {small: {hidden_size: 32, layers: 1, heads: 2, feed_forward: 64}}
variant_defaults: {budget: {tokens: 10}}
"""


def test_what_decides_only_how_models_are_made_is_refused_where_none_is(alone: str, micro: Path) -> None:
    study = micro / "studies/alone.yaml"
    study.write_text(alone + IDLE, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        build_plan(micro, ["alone"])
    told = {problem.key for problem in caught.value.problems}
    sections = {"average", "chat", "engine", "architectures", "variant_defaults"}
    assert told == {*sections, *(f"seeds.{name}" for name in ("ipt_seed", "mixture_seed", "sft_seed"))}
    assert all(one.message.startswith("has no effect on served models") for one in caught.value.problems)
    assert all(str(one.file).endswith("alone.yaml") and one.line for one in caught.value.problems)
    # what others say for studies that make models, and what is taken away of it, may stand
    (micro / "studies/lab").mkdir()
    (micro / "studies/lab/common.yaml").write_text(IDLE, encoding="utf-8")
    taken = "extends: lab/common.yaml\naverage: null\nvariant_defaults: null\nseeds: {ipt_seed: null, judge_run: [1]}\n"
    study.write_text(taken + alone, encoding="utf-8")
    assert build_plan(micro, ["alone"]).plan.nodes


def test_a_study_that_makes_models_still_needs_all_that_makes_them(micro: Path, invoke: Invoke) -> None:
    text = (micro / STUDY).read_text("utf-8")
    without = re.sub(r"^ipt:\n(?:  .*\n)+", "", text, flags=re.M)
    assert without != text
    (micro / STUDY).write_text(without, encoding="utf-8")
    result = invoke("plan")
    assert result.exit_code == 2
    assert "ipt: missing; base_models, variants make no model without it" in result.stderr
    (micro / STUDY).write_text(text, encoding="utf-8")
    assert build_plan(micro).plan.by_stage("ipt")
