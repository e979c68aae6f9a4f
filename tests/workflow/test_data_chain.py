"""The data chain of a plan: what a filter, a label, a shard or a benchmark re-keys, and what is read beside parents."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import REPOSITORY

from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import FilterSpec, LabelSpec, TokenizeShardSpec

Change = tuple[str, str]
Planned = Callable[..., Plan]

PERSONAL = "    filters: [{type: exact_duplicates}, {type: personal_data}]\n"
MATH = "    category: math\n"
RULES = "rules: {engine: {type: rules}}"
ASKED = "rules: {{engine: {{type: openai, model: small}}, endpoint: {}}}"


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Plans the micro study after replacements in its text, with two endpoints on this machine."""
    (tmp_path / "studies").mkdir()
    endpoints = "{here: {url: 'http://127.0.0.1:1/v1'}, there: {url: 'http://127.0.0.1:2/v1'}}"
    (tmp_path / "config.yaml").write_text(
        f"study: micro\nmachine: {{data_roots: {{micro: tests/data/micro}}, endpoints: {endpoints}}}\n"
    )

    def plan(*changes: Change, raw_file_bytes: int | None = None) -> Plan:
        text = (REPOSITORY / "studies/micro.yaml").read_text()
        for old, new in changes:
            assert old in text, f"mend the test: {old!r} is not in the study"
            text = text.replace(old, new)
        (tmp_path / "studies/micro.yaml").write_text(text)
        lock = json.loads((REPOSITORY / "sources.lock").read_text())
        if raw_file_bytes is not None:
            lock["sources"]["raw_file"]["files"][0]["bytes"] = raw_file_bytes
        (tmp_path / "sources.lock").write_text(json.dumps(lock))
        return build_plan(tmp_path, ["micro"], check_files=False).plan

    return plan


def find(plan: Plan, label: str) -> Node:
    (node,) = [node for node in plan.nodes.values() if f"micro/{label}" in node.labels]
    return node


def labels_of(plan: Plan, keys: set[str]) -> set[str]:
    return {plan.nodes[key].label.removeprefix("micro/") for key in keys}


def test_a_chain_leads_from_step_to_step_and_the_source_is_read_beside_it(planned: Planned) -> None:
    plan = planned((MATH, f"{MATH}{PERSONAL}"))
    source, first = find(plan, "source/math_file"), find(plan, "filter/math_file/1 exact_duplicates")
    second = find(plan, "filter/math_file/2 personal_data")
    assert (first.parents["source"], first.reads) == ((source.key,), {})
    assert (second.parents["source"], second.reads) == ((first.key,), {"records": (source.key,)})
    for number in (1, 2):
        shard = find(plan, f"tokenize/bpe/math_file/shard {number} of 2")
        assert shard.parents["source"] == (second.key,)
        assert shard.reads == {"records": (source.key,)}


def test_filters_of_one_source_re_key_its_descendants_alone(planned: Planned) -> None:
    before, after = planned(), planned((MATH, f"{MATH}{PERSONAL}"))
    (old,) = (node for node in before.by_stage("tokenize") if node.label.endswith("/math_file"))
    gone = set(before.nodes) - set(after.nodes)
    below = {key for key in before.nodes if old.key in before.closure([key])}
    shards = set(old.reads["shards"])
    assert gone == below | shards
    assert labels_of(after, set(after.nodes) - set(before.nodes)) >= {"filter/math_file/2 personal_data"}


def test_a_source_without_filters_is_tokenized_as_it_is(planned: Planned) -> None:
    plan = planned(("kind: raw\n    language: ja", "kind: raw\n    filters: []\n    language: ja"))
    store = find(plan, "tokenize/bpe/raw_ja")
    assert store.parents["source"] == (find(plan, "source/raw_ja").key,)
    assert store.reads == {}


def test_each_category_of_a_labelled_source_is_a_filter_of_one_label(planned: Planned) -> None:
    plan = planned()
    label = find(plan, "label/reasoning_ja")
    assert label.parents["source"] == (find(plan, "filter/reasoning_ja/1 exact_duplicates").key,)
    parts = [node for node in plan.by_stage("filter") if "labels" in node.parents]
    assert {node.parents["labels"] for node in parts} == {(label.key,)}
    # code and general have no share in a mixture of math and reasoning, so nothing is made of them
    assert {node.label.rpartition(" ")[2] for node in parts} == {"math", "reasoning"}
    assert all(node.reads == {"records": (find(plan, "source/reasoning_ja").key,)} for node in parts)
    assert all(isinstance(node.spec, FilterSpec) for node in parts)


def test_where_a_labeller_is_reached_enters_no_key(planned: Planned) -> None:
    here, there = (planned((RULES, ASKED.format(name))) for name in ("here", "there"))
    assert list(here.nodes) == list(there.nodes)
    (label,) = here.by_stage("label")
    assert isinstance(label.spec, LabelSpec)
    assert label.key not in planned().nodes


@pytest.mark.parametrize(("size", "shards"), [(20_000, 2), (9_999, 1), (40_001, 5)])
def test_a_source_has_as_many_shards_as_its_bytes_in_the_lock_ask_for(planned: Planned, size: int, shards: int) -> None:
    plan = planned(raw_file_bytes=size)
    store = find(plan, "tokenize/bpe/raw_file")
    if shards == 1:
        assert "shards" not in store.reads
        return
    made = [plan.nodes[key].spec for key in store.reads["shards"]]
    assert [(one.tokenize.number, one.tokenize.of) for one in made if isinstance(one, TokenizeShardSpec)] == [
        (number, shards) for number in range(shards)
    ]


def test_contamination_is_of_the_root_source_and_only_the_report_hangs_on_it_while_it_warns(planned: Planned) -> None:
    plan = planned()
    checks = plan.by_stage("contamination")
    sources = {node.key: node.label for node in plan.by_stage("source")}
    assert sorted(sources[node.parents["source"][0]] for node in checks) == [
        f"micro/source/{name}" for name in ("math_file", "raw_file", "raw_ja", "reasoning_ja")
    ]
    benchmarks = {find(plan, f"source/{name}").key for name in ("test_math_en", "test_dialogue_en")}
    assert {node.parents["benchmarks"] for node in checks} == {tuple(sorted(benchmarks))}
    keys = {node.key for node in checks}
    assert {node.stage for node in plan.nodes.values() if keys & set(node.inputs())} == {"report"}


@pytest.mark.parametrize("on_found", ["drop", "fail"])
def test_contamination_is_a_parent_of_the_last_filter_when_something_is_done_about_it(
    planned: Planned, on_found: str
) -> None:
    plan = planned(("tokens: {shard", f"contamination: {{on_found: {on_found}}}\n\ntokens: {{shard"))
    last = find(plan, "filter/math_file/contamination")
    assert last.parents["contamination"] == (find(plan, "contamination/math_file").key,)
    assert last.parents["source"] == (find(plan, "filter/math_file/1 exact_duplicates").key,)
    assert find(plan, "tokenize/bpe/math_file/shard 1 of 2").parents["source"] == (last.key,)
    checked, before = plan.by_stage("contamination"), planned().by_stage("contamination")
    assert {node.key for node in checked} == {node.key for node in before}


def test_another_benchmark_searches_again_and_trains_nothing_again(planned: Planned) -> None:
    both, one = planned(), planned(("  demo_dialogue_en: {data: test_dialogue_en}\n", ""))
    made = {both.nodes[key].stage for key in set(both.nodes) - set(one.nodes)}
    assert made >= {"contamination", "report"}
    assert not made & {"filter", "label", "tokenize", "mixture", "counts", "pretrain", "ipt", "sft", "average"}


def test_a_base_model_whose_overrides_change_its_mixture_shares_the_stores_of_the_others(planned: Planned) -> None:
    overrides = "    overrides: {variants: {even: {budget: {tokens: 15000}}}}\n"
    plan = planned(("    tokenizer: bpe\n", f"    tokenizer: bpe\n{overrides}"))
    before = planned()
    for stage in ("source", "filter", "tokenize", "pack", "pretrain", "counts"):
        assert [node.key for node in plan.by_stage(stage)] == [node.key for node in before.by_stage(stage)], stage
    assert len({node.key for node in plan.by_stage("mixture")} - set(before.nodes)) == 1
