"""Models that somebody serves, in a study: what is planned for them, what is made, and what cannot be meant."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from checkouts import REPOSITORY
from click.testing import Result
from editing import STUDY, replace
from scripted_server import Answer, serve

from mixlab.artifacts.store import Store
from mixlab.config.problems import ConfigError
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.graph import Node
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.plan.specs import GenerateSpec
from mixlab.plan.workflow import open_workflow
from mixlab.stages import aggregate, generate, judge, score, scores, source
from mixlab.stages.doorway import Host, main

Invoke = Callable[..., Result]

SERVED = """
served_models:
  big chat:
    endpoint: local
    model: tiny
    revision: 2024-08-06
    description: A model behind an endpoint.
  base:
    endpoint: local
    model: tiny
    api: completions
    stop: ["Q:"]
"""
HOSTS: dict[str, Host] = {
    "source": source.run,
    "generate": generate.run,
    "score": score.run,
    "judge": judge.run,
    "scores": scores.run,
}


def serve_models(root: Path, text: str = SERVED, url: str = "http://127.0.0.1:9/v1") -> None:
    """Let the micro study have served models, and the machine an endpoint."""
    with (root / STUDY).open("a", encoding="utf-8") as stream:
        stream.write(text)
    with (root / "config.yaml").open("a", encoding="utf-8") as stream:
        stream.write(f"  endpoints: {{local: {{url: '{url}', api_key_env: SERVED_KEY, max_retries: 1}}}}\n")


def find(planned: Planned, stage: str, *words: str) -> list[Node]:
    return [node for node in planned.plan.by_stage(stage) if all(word in node.label for word in words)]


def test_a_served_model_has_responses_and_scores_alone_and_moves_no_other_key(micro: Path) -> None:
    before = build_plan(micro).plan
    serve_models(micro)
    planned = build_plan(micro)
    new = [node for key, node in planned.plan.nodes.items() if key not in before.nodes]
    assert Counter(node.stage for node in new) == {
        "generate": 4,
        "score": 2,
        "judge": 4,
        "scores": 2,
        "aggregate": 1,
        "report": 1,
    }
    chat, base = (find(planned, "generate", f"/{name}/demo_dialogue_en")[0] for name in ("big chat", "base"))
    assert set(chat.parents) == {"items"}
    assert isinstance(chat.spec, GenerateSpec) and isinstance(base.spec, GenerateSpec)
    assert chat.spec.prompt.chat_template is None
    assert base.spec.prompt.chat_template is not None
    assert base.spec.prompt.chat_template.user_prefix == "### User:\n"
    assert base.spec.prompt.sampling.stop[-2:] == ("Q:", "\n### ")
    groups = {node.group for node in new if node.stage == "generate"}
    assert len(groups) == 2


def test_where_a_model_is_served_and_what_it_is_called_moves_no_key_and_what_is_known_of_it_does(micro: Path) -> None:
    serve_models(micro)
    before = {node.key for node in build_plan(micro).plan.by_stage("generate")}
    replace(STUDY, "  big chat:\n    endpoint: local\n", "  huge chat:\n    endpoint: elsewhere\n")(micro)
    planned = build_plan(micro)
    assert {node.key for node in planned.plan.by_stage("generate")} == before
    assert set(planned.files.values()) >= {"elsewhere", "local"}
    replace(STUDY, "revision: 2024-08-06", "revision: 2024-11-20")(micro)
    changed = {node.key for node in build_plan(micro).plan.by_stage("generate")}
    assert len(changed - before) == 2


def test_a_base_models_stop_strings_reach_its_descendants_responses_and_nothing_else(micro: Path) -> None:
    before = build_plan(micro).plan
    replace(
        STUDY,
        "  tiny:\n    tokenizer: bpe\n",
        '  tiny:\n    tokenizer: bpe\n    stop: ["Q:"]\n    end_tokens: ["<|user|>"]\n',
    )(micro)
    planned = build_plan(micro)
    new = {node.stage for key, node in planned.plan.nodes.items() if key not in before.nodes}
    assert new == {"generate", "score", "judge", "scores", "aggregate", "report"}
    spec = planned.plan.by_stage("generate")[0].spec
    assert isinstance(spec, GenerateSpec)
    assert (spec.prompt.sampling.stop[-1], spec.prompt.sampling.end_tokens) == ("Q:", ("<|user|>",))


def test_responses_of_a_served_model_become_rows_of_their_own(micro: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVED_KEY", "not-a-real-key-0123456789")
    replace(STUDY, "judge_run: [1, 2]", "judge_run: [1, 2]\n  generation_seed: [1, 2, 3]")(micro)
    with serve(lambda question, count: Answer("Hm. 7")) as server:
        serve_models(micro, url=server.url)
        planned = build_plan(micro)
        store = Store(micro)
        path = write_plan(store, render_plan(planned.plan, planned.config.machine, planned.files))
        (table,) = find(planned, "scores", "/big chat")
        above = planned.plan.closure([table.key])
        for stage, host in HOSTS.items():
            keys = [node.key for node in planned.plan.by_stage(stage) if node.key in above]
            main(stage, host, ["--plan", str(path), "--key", *keys])
        assert len(server.requests) == 3 * (8 + 4 * 2)
    rows = pq.read_table(store.open("scores", table.key) / "scores.parquet").to_pylist()
    # 8 items once, 4 dialogues of two turns twice judged, each for three answers
    assert Counter((row["measure"], row["generation_seed"], row["judge_run"]) for row in rows) == {
        **{("accuracy", seed, None): 8 for seed in (1, 2, 3)},
        **{("judge_score", seed, run): 8 for seed in (1, 2, 3) for run in (1, 2)},
    }
    assert {(row["stage"], row["mixture_key"], row["sft_seed"]) for row in rows} == {("served", None, None)}
    assert {row["model_key"] for row in rows} == {rows[0]["variant_key"]}
    written = [path for path in micro.rglob("*") if path.is_file()]
    assert [path for path in written if b"not-a-real-key" in path.read_bytes()] == []


def test_the_lineage_names_the_served_model(micro: Path) -> None:
    serve_models(micro)
    (node,) = find(build_plan(micro), "generate", "/big chat/demo_math_en")
    assert aggregate.describe_ancestor(node).facts == (("served model", "tiny"), ("revision", "2024-08-06"))


MISTAKES: dict[str, tuple[str, str, str]] = {
    "a name that a variant has": ("  base:\n", "  even:\n", "a variant's point is called 'even' too"),
    "a template of ours for a server's own": (
        "    revision: 2024-08-06\n",
        "    chat_template: {user_prefix: 'U:'}\n",
        "chat_template has no effect with api chat",
    ),
    "a key in the settings": (
        "    revision: 2024-08-06\n",
        "    extra: {api_key: abc}\n",
        "a key belongs into an environment variable",
    ),
    "a field of its own in extra": (
        "    revision: 2024-08-06\n",
        "    extra: {prompt: abc}\n",
        "`extra` may not hold prompt",
    ),
    "an unknown way to ask": ("api: completions", "api: complete", "completions"),
    "an effect of a served model and a variant": (
        "    variant: math heavy 数学\n",
        "    variant: base\n",
        "'base' is a served model; compare it with another one and write stage: served",
    ),
    "served variants": (
        "    stage: after_sft\n",
        "    stage: served\n",
        "'even' is no served model (there are: base, big",
    ),
    "one model at two endpoints": (
        "  base:\n",
        "  big again: {endpoint: elsewhere, model: tiny, revision: 2024-08-06}\n  base:\n",
        "served_models['big again'].endpoint: is the same model, asked in the same manner, as 'big chat' at endpoint",
    ),
    "an order of unknown names": ("study_seed: 0\n", "report: {order: [bas]}\n", "did you mean 'base'?"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_meant_of_a_served_model_is_told(name: str, micro: Path, invoke: Invoke) -> None:
    serve_models(micro, "\nstudy_seed: 0\n" + SERVED)
    old, new, told = MISTAKES[name]
    replace(STUDY, old, new)(micro)
    result = invoke("plan")
    assert result.exit_code == 2
    assert told in result.stderr and f"{STUDY}:" in result.stderr


def test_one_model_at_the_endpoints_of_two_studies_is_told_apart_by_its_revision(micro: Path) -> None:
    serve_models(micro)
    other = micro / "studies/other.yaml"
    text = "extends: micro.yaml\nserved_models: {big chat: {endpoint: elsewhere}}\n"
    other.write_text(text, encoding="utf-8")
    for names in (["micro", "other"], ["other", "micro"]):
        with pytest.raises(ConfigError, match=r"'big chat' of study '.*set `revision` to tell them apart"):
            open_workflow(micro, {"study": ",".join(names)}, True, {})
    other.write_text(text.replace("elsewhere", "elsewhere, revision: 2024-11-20"), encoding="utf-8")
    assert set(build_plan(micro, ["micro", "other"]).files.values()) >= {"elsewhere", "local"}


def test_the_document_shows_what_can_be_planned(micro: Path, invoke: Invoke) -> None:
    served, machine, _ = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs/generation.md").read_text(), re.DOTALL)
    with (micro / STUDY).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{served}")
    (micro / "config.yaml").write_text(f"study: micro\n{machine}  data_roots:\n    micro: tests/data/micro\n")
    assert "served" not in invoke("plan").stderr
    assert len(find(build_plan(micro), "generate", "/large")) == 4


def test_a_chat_model_is_not_asked_to_continue_code_and_a_base_model_is(micro: Path, invoke: Invoke) -> None:
    serve_models(micro)
    # the invented world stands in for the data: nothing is asked here
    replace(STUDY, "  demo_math_en: {data: test_math_en}\n", "  humaneval: {data: test_math_en}\n")(micro)
    told = "api chat of 'big chat' answers as a message: write api: completions there"
    assert f"benchmarks.humaneval: the head of a function is to be continued, which {told}" in invoke("plan").stderr
    replace(STUDY, "    revision: 2024-08-06\n", "    api: completions\n    revision: 2024-08-06\n")(micro)
    assert "head of a function" not in invoke("plan").stderr


def test_an_effect_may_compare_two_served_models(micro: Path, invoke: Invoke) -> None:
    serve_models(micro)
    replace(
        STUDY,
        "    variant: math heavy 数学\n    against: even\n    stage: after_sft\n",
        "    variant: big chat\n    against: base\n    stage: served\n",
    )(micro)
    assert invoke("plan").exit_code == 0


def test_an_endpoint_that_the_machine_does_not_name_is_told(
    micro: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERVED_KEY", raising=False)
    serve_models(micro)
    told = {}
    for endpoint in ("local", "locl"):
        replace(STUDY, "big chat:\n    endpoint: local", f"big chat:\n    endpoint: {endpoint}")(micro)
        planned = build_plan(micro)
        path = write_plan(Store(micro), render_plan(planned.plan, planned.config.machine, planned.files))
        (node,) = find(planned, "generate", "/big chat/demo_math_en")
        main("source", source.run, ["--plan", str(path), "--key", *node.parents["items"]])
        with pytest.raises(SystemExit) as caught:
            main("generate", generate.run, ["--plan", str(path), "--key", node.key])
        assert caught.value.code == 2
        told[endpoint] = capsys.readouterr().err
    assert "the environment variable SERVED_KEY is not set" in told["local"]
    assert "machine.endpoints has no 'locl'; did you mean 'local'?" in told["locl"]


def test_a_study_says_what_becomes_of_prompts_that_do_not_fit(micro: Path, invoke: Invoke) -> None:
    use = "demo_math_en: {data: test_math_en}"
    replace(STUDY, use, "demo_math_en: {data: test_math_en, long_prompts: truncate_left}")(micro)
    policies = {
        node.spec.prompt.sampling.long_prompts
        for node in find(build_plan(micro), "generate", "demo_math_en")
        if isinstance(node.spec, GenerateSpec)
    }
    assert policies == {"truncate_left"}
    serve_models(micro)
    assert "truncate_left needs a tokenizer, which a served model keeps to itself" in invoke("plan").stderr
