"""What was measured, and what new artifacts take by it."""

import json
from pathlib import Path
from typing import Any

import pytest
from golden import plan_micro

from mixlab.artifacts.provenance import ADOPTED
from mixlab.artifacts.records import Records, parse_moment
from mixlab.artifacts.store import Store
from mixlab.plan.amounts import Amount, Amounts
from mixlab.plan.past import History, Past, read_past, scale
from mixlab.plan.workload import Workloads

FIRST, LATER = "2026-11-20T10:00:00+00:00", "2026-11-21T10:00:00+00:00"


def past(seconds: float, size: float | None = None, kind: str = "", start: float | None = None, **more: Any) -> Past:
    process = more.pop("process", "one" if start is not None else "")
    name = more.pop("stage", "generate"), f"{seconds}"
    return Past(name, Amount(kind, size), seconds, more.pop("bytes", None), process, start, **more)


def remember(*measured: Past) -> History:
    history = History("h100")
    for one in measured:
        history.add(one)
    return history


def test_more_work_takes_more_in_proportion_and_less_no_less_than_a_job_takes_anyway() -> None:
    measured = [past(10, 100), past(12, 100), past(14, 100)]
    assert scale(measured, 100, lambda one: one.seconds, 2) == 12
    assert scale(measured, 300, lambda one: one.seconds, 2) == 36
    assert scale(measured, 50, lambda one: one.seconds, 2) == 2 + 10 / 2
    assert scale(measured, None, lambda one: one.seconds, 2) == 12


def test_those_nearest_in_size_count() -> None:
    measured = [*(past(1, 10) for _ in range(8)), *(past(100, 1000) for _ in range(8))]
    assert scale(measured, 900, lambda one: one.seconds, 0) == 90
    assert scale(measured, 11, lambda one: one.seconds, 0) == pytest.approx(1.1)


def test_alike_artifacts_go_before_others_and_the_first_of_a_process_before_those_that_follow() -> None:
    history = remember(
        past(9, kind="maths", start=1.0), past(1, kind="maths", process="one"), past(40, kind="code", start=3.0)
    )
    assert history.estimate_seconds("generate", Amount("maths", None), is_first=True) == 9
    assert history.estimate_seconds("generate", Amount("maths", None), is_first=False) == 1
    assert history.estimate_seconds("generate", Amount("code", None), is_first=False) == 40
    assert history.estimate_seconds("generate", Amount("new", None), is_first=False) == 1
    assert history.estimate_seconds("generate", Amount("new", None), is_first=True, alike=True) is None
    assert history.estimate_seconds("score", Amount("maths", None), is_first=True) is None
    assert (history.estimate_start("generate"), history.estimate_start("score")) == (2.0, None)


def test_what_was_measured_on_another_device_tells_nothing_of_this_one() -> None:
    h100, a100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"
    history = remember(past(900), past(3, gpus=1), past(2, gpus=4, device="cuda"), past(7, gpus=1, device=a100))
    amount = Amount("", None)
    told = [history.estimate_seconds("generate", amount, is_first=True, gpus=gpus) for gpus in (0, 1, 2, 4)]
    assert told == [900, 3, None, 2]
    assert history.list_other("generate", 1) == ["1 x NVIDIA A100-SXM4-80GB", "4 x cuda", "cpu"]
    # training counts what all its processes took, so that another number of GPUs tells
    trained = remember(past(80, stage="ipt", gpus=8, device=h100), past(900, stage="ipt"))
    assert trained.estimate_seconds("ipt", amount, is_first=True, gpus=2, alike=True) == 80
    assert remember(past(900, stage="ipt")).estimate_seconds("ipt", amount, is_first=True, gpus=2, alike=True) is None


def test_a_run_that_went_on_from_a_state_measures_no_time() -> None:
    history = remember(past(5, stage="ipt", is_partial=True, bytes=10), past(50, stage="ipt"))
    assert history.estimate_seconds("ipt", Amount("", None), is_first=True) == 50
    assert (history.count_partial("ipt"), history.estimate_bytes("ipt", Amount("", None))) == (1, 10)


def test_bytes_are_estimated_where_manifests_said_them() -> None:
    history = remember(past(1, 10, bytes=10_000), past(1, 10))
    assert history.estimate_bytes("generate", Amount("", 20)) == 20_000
    assert remember(past(1, 10)).estimate_bytes("generate", Amount("", 20)) is None


def note(store: Store, stage: str, key: str, finished: str, **more: Any) -> None:
    path = store.root / "provenance" / stage / key / f"{finished[:10]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"finished": finished, "seconds": 3.0, **more}))


def test_a_record_is_the_newest_before_a_moment_and_never_one_of_an_adoption(tmp_path: Path) -> None:
    store = Store(tmp_path)
    note(store, "ipt", "a" * 16, FIRST, host="one")
    note(store, "ipt", "a" * 16, LATER, host="two")
    note(store, "ipt", "b" * 16, FIRST, facts={ADOPTED: "made elsewhere"})
    records = Records(store)
    newest, older = (records.find(("ipt", "a" * 16), before) for before in (None, parse_moment(LATER)))
    assert newest is not None and older is not None
    assert (newest.host, older.host) == ("two", "one")
    assert records.find(("ipt", "a" * 16), parse_moment(FIRST)) is None
    assert records.find(("ipt", "b" * 16)) is None
    assert parse_moment("2026-11-20T10:00:00") == parse_moment(FIRST)


def test_training_on_several_processes_counts_the_seconds_of_all(tmp_path: Path) -> None:
    plan, store = plan_micro(), Store(tmp_path)
    first = plan.by_stage("ipt")[0]
    facts = {"ranks": "4", "mfu": "0.3"}
    process = {"id": "h:1:2", "start_seconds": 1.5}
    note(store, "ipt", first.key, FIRST, facts=facts, host="node1", process=process)
    amounts = Amounts(Workloads(plan, store), {}, {}, lambda node: None)
    history = read_past(Records(store), [first], amounts, "h100")
    (one,) = history.by_stage["ipt"]
    assert (one.seconds, one.is_first, one.start_seconds, one.host) == (12.0, True, 1.5, "node1")
    assert read_past(Records(store), [first], amounts, "h100", before=parse_moment(FIRST)).by_stage == {}


def test_what_went_on_from_a_state_counts_with_all_its_processes_and_else_the_last_alone(tmp_path: Path) -> None:
    plan, store = plan_micro(), Store(tmp_path)
    runs, average = plan.by_stage("ipt"), plan.by_stage("average")[0]
    earlier = [{"seconds": 5.0, "gpus": 0, "processes": 2, "attempts": 3}]
    facts = {"ranks": "4", "watched_steps": "13-36"}
    note(store, "ipt", runs[0].key, FIRST, facts=facts, earlier=earlier)
    note(store, "ipt", runs[1].key, FIRST, facts={**facts, "watched_steps": "1-36"}, earlier=earlier)
    note(store, "average", average.key, FIRST, facts={"resumed": "from something"}, earlier=earlier)
    amounts = Amounts(Workloads(plan, store), {}, {}, lambda node: None)
    history = read_past(Records(store), [*runs[:2], average], amounts, "h100")
    assert [one.seconds for one in history.by_stage["ipt"]] == [3 * 4 + 5 * 2, 3 * 4]
    assert [one.seconds for one in history.by_stage["average"]] == [3 + 5]
    assert history.count_partial("ipt") == history.count_partial("average") == 0


def test_sources_of_a_shard_are_a_share_of_their_file_and_benchmarks_are_told_apart() -> None:
    plan = plan_micro()
    amounts = Amounts(Workloads(plan, Store(Path("nowhere"))), {}, {}, lambda node: 7)
    sources = {
        digest: 1000 for node in plan.by_stage("source") for digest in getattr(node.spec.source.origin, "digests", ())
    }
    amounts = Amounts(Workloads(plan, Store(Path("nowhere"))), {}, sources, lambda node: 7)
    (shard, *_) = plan.by_stage("tokenize_shard")
    assert amounts.measure(shard) == Amount("files", 500)
    generated = next(node for node in plan.by_stage("source") if node.label == "micro/source/raw_ja")
    assert amounts.measure(generated) == Amount("generator", 150)
    kinds = {amounts.measure(node) for node in plan.by_stage("generate")}
    assert {one.size for one in kinds} == {7}
    assert len(kinds) == 2
    assert {amounts.measure(node).size for node in plan.by_stage("average")} == {4}
