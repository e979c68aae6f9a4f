"""Labels as people meet them: the stage behind its doorway, and `mixlab labels` about what it made."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checkouts import CONFIG
from click.testing import Result
from scripted_server import Answer, ScriptedServer, serve

from mixlab.artifacts.store import Store
from mixlab.config.problems import ConfigError
from mixlab.config.studies import CONFIG as CONFIG_FILE
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.stages.doorway import make_artifacts

Invoke = Callable[..., Result]

SOURCE = "reasoning_ja"
SECRET = "not-a-real-key-0123456789"
ABOUT = ("--study", "micro", SOURCE)


def make_labels(root: Path, with_labels: bool = True) -> Node:
    """Make the labels of the study's source, and what they need, as jobs do; return their node."""
    store, planned = Store(root), build_plan(root, ["micro"])
    plan_file = write_plan(store, render_plan(planned.plan, planned.config.machine, planned.files))
    (label,) = planned.plan.by_stage("label")
    needed = {label.key} if with_labels else set()
    for node in reversed(planned.plan.nodes.values()):
        if node.key in needed or node.key in label.inputs():
            needed |= {node.key, *node.inputs()}
    for node in planned.plan.nodes.values():
        if node.key in needed:
            run = importlib.import_module(f"mixlab.stages.{node.stage}").run
            make_artifacts(node.stage, run, plan_file, [node.key], store)
    return label


def use_model(root: Path, server: ScriptedServer, *, key_env: str = "", endpoint: str = "local") -> None:
    """Let the study's labeller be a model behind a local server."""
    study = root / "studies/micro.yaml"
    engine = f"{{engine: {{type: openai, model: tiny}}, endpoint: {endpoint}}}"
    text = study.read_text("utf-8")
    assert "{engine: {type: rules}}" in text
    study.write_text(text.replace("{engine: {type: rules}}", engine), "utf-8")
    key = f", api_key_env: {key_env}" if key_env else ""
    limits = f"{{url: '{server.url}', timeout_seconds: 5, max_retries: 0{key}}}"
    (root / CONFIG_FILE).write_text(CONFIG + f"  endpoints:\n    local: {limits}\n")


def fill_in(path: Path, category: str) -> list[dict[str, object]]:
    """Fill in a drawn sample as a person would."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join(json.dumps({**row, "category": category}) + "\n" for row in rows), "utf-8")
    return rows


def test_a_sample_is_drawn_filled_in_and_compared(micro: Path, invoke: Invoke) -> None:
    make_labels(micro)
    drawn = invoke("labels", "sample", *ABOUT, "--size", "20", "--output", "hand.jsonl")
    assert drawn.exit_code == 0, drawn.output
    assert len(fill_in(micro / "hand.jsonl", "reasoning")) == 20
    told = invoke("labels", "check", *ABOUT, "--sample", "hand.jsonl")
    assert told.exit_code == 0, told.output
    assert "keyword rules (not a language model), against 20 dialogues labelled by hand" in told.output
    assert "accuracy       1.000" in told.output
    answer = json.loads(invoke("labels", "check", *ABOUT, "--sample", "hand.jsonl", "--json").output)
    assert (answer["items"], answer["accuracy"], answer["kappa"]) == (20, 1.0, None)
    assert answer["confusion"]["names"] == ["code", "general", "math", "reasoning", "unparsable"]


def test_a_sample_is_the_same_for_the_same_seed_and_never_overwritten(micro: Path, invoke: Invoke) -> None:
    make_labels(micro)
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert invoke("labels", "sample", *ABOUT, "--seed", seed, "--size", "20", "--output", name).exit_code == 0
    assert (micro / "a").read_bytes() == (micro / "b").read_bytes() != (micro / "c").read_bytes()
    again = invoke("labels", "sample", *ABOUT, "--size", "20", "--output", "a")
    assert again.exit_code == 2
    assert "there already, perhaps with labels in it" in again.output


def test_a_sample_can_be_drawn_of_everything_before_anything_is_labelled(micro: Path, invoke: Invoke) -> None:
    make_labels(micro, with_labels=False)
    answer = invoke("labels", "sample", *ABOUT, "--size", "5000", "--output", "all.jsonl", "--json")
    records = json.loads(answer.output)["records"]
    assert records == sorted(set(records))
    assert len(records) == 120


def test_mistakes_in_a_sample_are_told_with_their_lines(micro: Path, invoke: Invoke) -> None:
    make_labels(micro)
    (micro / "hand.jsonl").write_text('{"record": 0, "category": "logic"}\n{"record": 1}\n')
    result = invoke("labels", "check", *ABOUT, "--sample", "hand.jsonl")
    assert result.exit_code == 2
    assert "hand.jsonl:1: unknown category 'logic'" in result.output
    assert "hand.jsonl:2: `category` is not filled in" in result.output
    told = invoke("labels", "check", *ABOUT, "--sample", "gone.jsonl").output
    assert told == "mixlab: gone.jsonl: is not there; draw a sample with `mixlab labels sample`\n"
    (micro / "hand.jsonl").write_text('{"record": 9999, "category": "math"}\n')
    assert "hand.jsonl:1: the source has no such" in invoke("labels", "check", *ABOUT, "--sample", "hand.jsonl").output


def test_a_source_that_is_not_labelled_is_told_with_those_that_are(micro: Path, invoke: Invoke) -> None:
    result = invoke("labels", "cost", "--study", "micro", "reasoning_jp")
    assert result.exit_code == 2
    assert "labels no source 'reasoning_jp'; did you mean 'reasoning_ja'" in result.output


def test_labels_that_are_not_made_yet_are_told(micro: Path, invoke: Invoke) -> None:
    make_labels(micro, with_labels=False)
    (micro / "hand.jsonl").write_text('{"record": 0, "category": "math"}\n')
    result = invoke("labels", "check", *ABOUT, "--sample", "hand.jsonl")
    assert result.exit_code == 2
    assert "label" in result.output


def test_a_model_behind_an_endpoint_labels_the_source_and_its_cost_is_told_before(micro: Path, invoke: Invoke) -> None:
    with serve(lambda question, count: Answer("Category: reasoning")) as server:
        use_model(micro, server)
        make_labels(micro, with_labels=False)
        before = json.loads(invoke("labels", "cost", *ABOUT, "--json").output)
        assert (before["dialogues"], before["open"], sum(server.asked.values())) == (120, 120, 0)
        label = make_labels(micro)
        asked = sum(server.asked.values())
    assert set(np.load(Store(micro).folder(*label.name) / "labels.npy")) == {3}
    assert asked == 120
    assert json.loads(invoke("labels", "cost", *ABOUT, "--json").output)["open"] == 0
    assert "none to ask" in invoke("labels", "cost", *ABOUT).output


def test_the_key_reaches_the_endpoint_and_nothing_else(
    micro: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("LABELS_KEY", SECRET)
    with serve(lambda question, count: Answer("Category: reasoning")) as server:
        use_model(micro, server, key_env="LABELS_KEY")
        make_labels(micro)
        assert server.keys == {f"Bearer {SECRET}"}
    assert SECRET not in caplog.text
    files = [path for path in micro.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name == "labels.sqlite" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"key_env": "LABELS_KEY"}, "the environment variable LABELS_KEY is not set"),
        ({"endpoint": "locall"}, "machine.endpoints has no 'locall'; did you mean 'local'"),
    ],
)
def test_what_this_machine_lacks_is_told_by_the_job(
    micro: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], told: str
) -> None:
    monkeypatch.delenv("LABELS_KEY", raising=False)
    with serve(lambda question, count: Answer()) as server:
        use_model(micro, server, **changes)
        with pytest.raises(ConfigError, match=told):
            make_labels(micro)
        assert server.asked == {}


def test_neither_the_endpoint_nor_its_settings_are_part_of_the_labels_key(micro: Path) -> None:
    with serve(lambda question, count: Answer()) as server:
        use_model(micro, server)
        (one,) = build_plan(micro, ["micro"]).plan.by_stage("label")
    text = (micro / "studies/micro.yaml").read_text("utf-8")
    (micro / "studies/micro.yaml").write_text(text.replace("endpoint: local", "endpoint: elsewhere"), "utf-8")
    (micro / CONFIG_FILE).write_text(CONFIG)
    (other,) = build_plan(micro, ["micro"]).plan.by_stage("label")
    assert one.key == other.key
