"""A canary of what asked an endpoint: what was asked before is answered by the store, and costs nothing."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import CONFIG, copy_checkout
from scripted_server import Answer, ScriptedServer, serve

from mixlab.artifacts.store import Store
from mixlab.config.canary import CanaryBand
from mixlab.generation.responses import Response, write_response_files
from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.stages.canary import Laboratory, count_tested
from mixlab.stages.doorway import make_artifacts


class Judged:
    """The micro study with a model as judge, and one of its judgings, made."""

    def __init__(self, root: Path, server: ScriptedServer) -> None:
        self.root, self.server, self.store = root, server, Store(root)
        path = root / "studies/micro.yaml"
        judge = "judge: {engine: openai, model: tiny, endpoint: local, attempts: 1}\n"
        path.write_text(path.read_text("utf-8") + judge, "utf-8")
        (root / "config.yaml").write_text(f"{CONFIG}  endpoints: {{local: {{url: '{server.url}'}}}}\n")
        self.planned = build_plan(root, check_files=False)
        plan = self.planned.plan
        self.file = write_plan(self.store, render_plan(plan, self.planned.config.machine, self.planned.files))
        self.node = plan.by_stage("judge")[0]
        (items,), (responses,) = (self.node.parents[role] for role in ("items", "responses"))
        self.make("source", items)
        self.answer(plan.nodes[responses], items)
        self.make("judge", self.node.key)

    def make(self, stage: str, key: str) -> None:
        make_artifacts(stage, importlib.import_module(f"mixlab.stages.{stage}").run, self.file, [key], self.store)

    def answer(self, node: Node, items: str) -> None:
        lines = (self.store.folder("source", items) / "records.jsonl").read_text("utf-8").splitlines()
        with self.store.writing(*node.name) as draft:
            assert draft is not None
            said = [
                Response(row["id"], list(row["turns"]), responses=["an answer"] * 2, finish_reasons=["stop"] * 2)
                for row in map(json.loads, lines)
            ]
            write_response_files(said, draft.out)
            draft.publish(to_plain(node.spec), {role: list(keys) for role, keys in node.parents.items()})

    def laboratory(self) -> Laboratory:
        finished = frozenset({self.node.name})
        folder = self.root / "work/canaries/one"
        return Laboratory(self.store, self.planned.plan, self.file, folder, finished, CanaryBand())


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judged]:
    root = copy_checkout(tmp_path / "copy")
    monkeypatch.chdir(root)
    with serve(lambda question, count: Answer("So. Rating: [[7]]")) as server:
        yield Judged(root, server)


def test_verdicts_of_a_canary_come_from_the_store_and_without_it_are_asked_again(judged: Judged) -> None:
    asked = len(judged.server.requests)
    assert asked > 0
    outcome = judged.laboratory().test(judged.node)
    assert (outcome.verdict, outcome.told) == ("equal", "the same bytes")
    assert len(judged.server.requests) == asked
    (judged.root / "stores/judge.sqlite").unlink()
    assert judged.laboratory().test(judged.node).verdict == "equal"
    assert len(judged.server.requests) == 2 * asked


def test_what_was_damaged_after_it_was_made_says_nothing_of_how_it_was_made(judged: Judged) -> None:
    path = judged.store.folder(*judged.node.name) / "verdicts.jsonl"
    path.write_text(path.read_text("utf-8").replace("7", "8"), "utf-8")
    laboratory = judged.laboratory()
    outcome = laboratory.test(judged.node)
    assert outcome.verdict == "refused"
    assert f"mixlab verify --repair {judged.node.key}" in outcome.told
    laboratory.write_record(outcome, "")
    assert count_tested(judged.store) == {}
