"""Which artifacts a canary draws, why others are left out, and what a failed one taints."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from mixlab.artifacts.provenance import ADOPTED
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.config.studies import CONFIG
from mixlab.plan.build import build_plan
from mixlab.plan.canary import Chosen, find_candidates, find_taint, order_candidates
from mixlab.plan.graph import Node, Plan

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build_plan(REPOSITORY, ["micro"], check_files=False).plan


def finish(*names: tuple[str, str]) -> States:
    return States(frozenset(names), frozenset(), frozenset())


def note(store: Store, node: Node, **record: object) -> None:
    folder = store.root / "provenance" / node.stage / node.key
    folder.mkdir(parents=True, exist_ok=True)
    card = {"code_digest": "a", "versions": {}, "host": "here", "platform": "x", "seconds": 3.0, **record}
    (folder / f"{len(list(folder.iterdir()))}.json").write_text(json.dumps(card))


def choose(store: Store, plan: Plan, states: States, tested: dict[tuple[str, str], int] | None = None) -> Chosen:
    return find_candidates(store, plan, states, plan.nodes.values(), tested or {}, asks_endpoints=False)


def test_stages_take_turns_and_what_was_tested_least_comes_first(plan: Plan, tmp_path: Path) -> None:
    states = finish(*(node.name for node in plan.nodes.values()))
    tested = {node.name: 1 for node in plan.by_stage("generate")[:9]}
    drawn = order_candidates(choose(Store(tmp_path), plan, states, tested).candidates, random.Random(4))
    stages = len({one.node.stage for one in drawn})
    assert stages == 20
    assert set(Counter(one.node.stage for one in drawn[:stages]).values()) == {1}
    assert [one.tested for one in drawn if one.node.stage == "generate"] == [0] * 3 + [1] * 9
    assert len(drawn) == len(plan.nodes)


def test_a_seed_draws_the_same_sample_and_another_one_another(plan: Plan, tmp_path: Path) -> None:
    candidates = choose(Store(tmp_path), plan, finish(*(one.name for one in plan.nodes.values()))).candidates
    draws = [[one.node.key for one in order_candidates(candidates, random.Random(seed))] for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_what_is_not_known_to_take_long_is_expected_to_take_what_its_stage_does(plan: Plan, tmp_path: Path) -> None:
    first, second, third, _ = plan.by_stage("sft")
    for node, seconds in ((first, 10.0), (second, 30.0)):
        note(Store(tmp_path), node, seconds=seconds)
    candidates = choose(Store(tmp_path), plan, finish(*(one.name for one in plan.nodes.values()))).candidates
    took = {one.node.key: (one.seconds, one.is_known) for one in candidates}
    assert (took[first.key], took[third.key]) == ((10.0, True), (20.0, False))


def test_what_cannot_be_made_again_here_is_left_out_with_the_reason(plan: Plan, tmp_path: Path) -> None:
    ipt = plan.by_stage("ipt")
    here = {node.name for node in plan.nodes.values()} - {ipt[0].name} - {plan.by_stage("tokenizer")[0].name}
    states = States(frozenset(here), frozenset({ipt[0].name}), frozenset())
    chosen = choose(Store(tmp_path), plan, states)
    reasons = {
        why.split(",")[0].split(";")[0]: [node.stage for node in nodes] for why, nodes in chosen.left_out.items()
    }
    assert reasons["not here"] == ["ipt"]
    assert {"tokenize", "average"} <= set(reasons["what it is made from is not all here"])
    candidates = {one.node.stage for one in chosen.candidates}
    assert "source" in candidates
    assert not candidates & {"tokenize", "tokenizer"}


def test_an_artifact_that_was_adopted_is_left_out(plan: Plan, tmp_path: Path) -> None:
    (pretrain,) = plan.by_stage("pretrain")
    note(Store(tmp_path), pretrain, facts={ADOPTED: "from elsewhere"})
    chosen = choose(Store(tmp_path), plan, finish(*(node.name for node in plan.nodes.values())))
    (told,) = chosen.left_out.items()
    assert told == ("adopted, so that its spec did not make it", (pretrain,))


def test_what_asks_an_endpoint_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    text = (REPOSITORY / "studies/micro.yaml").read_text()
    (tmp_path / "studies").mkdir()
    judge = "judge: {engine: openai, model: judge, endpoint: lab}\n"
    (tmp_path / "studies/micro.yaml").write_text(text + judge)
    (tmp_path / "sources.lock").write_text((REPOSITORY / "sources.lock").read_text())
    (tmp_path / CONFIG).write_text("study: micro\nmachine: {data_roots: {micro: nowhere}}\n")
    plan = build_plan(tmp_path, check_files=False).plan
    states = finish(*(node.name for node in plan.nodes.values()))
    ((why, nodes),) = choose(Store(tmp_path), plan, states).left_out.items()
    assert (why.split(",")[0], {node.stage for node in nodes}) == ("asks an endpoint", {"judge"})
    everything = find_candidates(Store(tmp_path), plan, states, nodes, {}, asks_endpoints=True)
    assert [one.node for one in everything.candidates] == list(nodes)


def test_a_failure_taints_what_is_made_from_it_and_what_the_same_code_made_at_the_same_place(
    plan: Plan, tmp_path: Path
) -> None:
    first, second, third, fourth = plan.by_stage("sft")
    for node in (first, second):
        note(Store(tmp_path), node)
    note(Store(tmp_path), third, host="elsewhere")
    note(Store(tmp_path), fourth)
    states = finish(*(node.name for node in plan.nodes.values() if node.key != fourth.key and node.stage != "report"))
    taint = find_taint(Store(tmp_path), plan, states, first)
    assert taint.siblings == (second,)
    counts = Counter(node.stage for node in taint.descendants)
    assert counts == {"generate": 2, "score": 1, "judge": 2, "scores": 1, "aggregate": 1}
    assert taint.studies == ("micro",)


def test_bytes_that_are_read_but_are_no_parent_taint_as_well(plan: Plan, tmp_path: Path) -> None:
    (pack,) = (node for node in plan.by_stage("tokenize") if node.label.endswith("/math_file"))
    states = finish(*(node.name for node in plan.nodes.values()))
    stages = {node.stage for node in find_taint(Store(tmp_path), plan, states, pack).descendants}
    assert {"pack", "mixture", "ipt", "sft", "report"} <= stages
