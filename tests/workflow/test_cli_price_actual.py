"""`mixlab price --actual`: whatever was made counts, also what should not have been."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from dvc_checkouts import plan_micro

from mixlab.artifacts.manifest import write_manifest
from mixlab.artifacts.store import Store, write_json
from mixlab.plan.graph import Node, Plan

Invoke = Callable[..., Result]


def note(root: Path, node: Node, day: int, **fields: Any) -> None:
    """Note that an artifact was made on a day, in a process of its own."""
    finished = f"2026-01-{day:02}T00:00:00+00:00"
    process = {"id": f"node:{node.group}:{day}", **({"start_seconds": 2.0} if node.group == node.key else {})}
    record = {"finished": finished, "seconds": 10.0, "process": process, "machine": {"gpus": 0}, **fields}
    write_json(root / "provenance" / node.stage / node.key / f"{day}.json", record)


@pytest.fixture
def made(micro: Path) -> tuple[Path, Plan]:
    """Packs and what is above them, made on the first day."""
    plan = plan_micro(micro)
    packs = plan.closure(node.key for node in plan.by_stage("pack"))
    for key in packs:
        node = plan.nodes[key]
        folder = Store(micro).folder(*node.name)
        folder.mkdir(parents=True)
        # what a price looks into
        write_json(folder / "index.json", {"tokens": 500, "vocab_size": 400})
        (folder / "items.jsonl").write_text("")
        write_manifest(folder, *node.name, {}, {})
        note(micro, node, 1)
    return micro, plan


def compare(invoke: Invoke, *arguments: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    told = json.loads(invoke("price", "--actual", *arguments, "--json").stdout)
    return told, {line["stage"]: line for line in told["stages"]}


def test_what_is_made_again_though_it_was_kept_is_told(made: tuple[Path, Plan], invoke: Invoke) -> None:
    root, plan = made
    packs, trained = plan.by_stage("pack"), plan.by_stage("pretrain")[0]
    since = ("--since", "2026-01-02")
    before, _ = compare(invoke, *since)
    assert before["unmade"] > 0
    for day in (3, 4):
        note(root, packs[0], day)
    note(root, trained, 3, machine={"gpus": 2}, facts={"watched_steps": "13-24", "device": "cuda"})
    told, lines = compare(invoke, *since)
    pack, pretrain = lines["pack"], lines["pretrain"]
    assert (pack["predicted_artifacts"], pack["made"], pack["unforeseen"], pack["repeated"]) == (0, 2, 2, 1)
    assert (pack["predicted_jobs"], pack["jobs"], pack["seconds"]) == (0, 2, 24.0)
    assert (pretrain["predicted_artifacts"], pretrain["made"], pretrain["unforeseen"]) == (1, 1, 0)
    assert (pretrain["gpu_hours"], pretrain["resumed"]) == (pytest.approx(2 * 12 / 3600), 1)
    assert (lines["sft"]["predicted_artifacts"], lines["sft"]["predicted_jobs"], lines["sft"]["made"]) == (4, 4, 0)
    assert told["unmade"] == before["unmade"] - 1
    said = invoke("price", "--actual", *since).stdout
    assert "made though kept: 2 that were here at that moment, or not needed (pack 2)" in said
    assert "made again: 1 (pack 1)" in said
    assert "counted: every time that an artifact of the plan was made since 2026-01-02T00:00:00+00:00" in said
    assert "1 of these have the seconds of their last process alone" in said


def test_what_earlier_attempts_took_is_in_the_time_of_jobs(made: tuple[Path, Plan], invoke: Invoke) -> None:
    root, plan = made
    earlier = [{"seconds": 100.0, "gpus": 4, "processes": 4, "attempts": 2}]
    trained = {"machine": {"gpus": 2}, "facts": {"watched_steps": "13-24", "device": "cuda", "ranks": "2"}}
    note(root, plan.by_stage("pretrain")[0], 3, earlier=earlier, **trained)
    note(root, plan.by_stage("pack")[0], 3, earlier=[{"seconds": 7.0, "gpus": 0, "processes": 1, "attempts": 1}])
    _, lines = compare(invoke, "--since", "2026-01-02")
    pack, pretrain = lines["pack"], lines["pretrain"]
    assert (pretrain["seconds"], pretrain["resumed"], pretrain["partial"]) == (112.0, 1, 0)
    assert pretrain["gpu_hours"] == pytest.approx((2 * 12 + 4 * 100) / 3600)
    assert (pack["seconds"], pack["lost_seconds"], pretrain["lost_seconds"]) == (19.0, 7.0, 0.0)
    said = invoke("price", "--actual", "--since", "2026-01-02").stdout
    assert "1 went on from a state: their time is that of all their processes" in said
    assert "compared with nothing: 7.0 s of attempts from which nothing was kept" in said


def test_without_a_moment_all_that_was_ever_made_counts(made: tuple[Path, Plan], invoke: Invoke) -> None:
    root, plan = made
    note(root, plan.by_stage("pack")[0], 3)
    _, lines = compare(invoke)
    pack = lines["pack"]
    assert (pack["predicted_artifacts"], pack["made"], pack["repeated"], pack["unforeseen"]) == (6, 7, 1, 0)
    assert "was made here, at any time" in invoke("price", "--actual").stdout


def test_a_record_that_is_damaged_is_named_and_passed_over(
    made: tuple[Path, Plan], invoke: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    root, plan = made
    node = plan.by_stage("pack")[0]
    for number, fields in enumerate(({"seconds": None}, {"finished": "soon"}), start=2):
        note(root, node, number, **fields)
    _, lines = compare(invoke)
    assert lines["pack"]["made"] == 6
    assert sorted(message.partition(" is passed over: ")[0] for message in caplog.messages) == [
        f"mixlab: provenance/pack/{node.key}/{number}.json" for number in (2, 3)
    ]


def test_time_measured_on_a_cpu_is_not_sold_as_time_of_gpus(made: tuple[Path, Plan], invoke: Invoke) -> None:
    root, plan = made
    node = plan.by_stage("generate")[0]
    folder = Store(root).folder(*node.name)
    folder.mkdir(parents=True)
    write_json(folder / "index.json", {"items": 8, "prompt_tokens": 80, "response_tokens": 40})
    write_manifest(folder, *node.name, {}, {})
    note(root, node, 1)

    def quote() -> dict[str, Any]:
        (line,) = (one for one in json.loads(invoke("price", "--json").stdout)["stages"] if one["stage"] == "generate")
        found: dict[str, Any] = line
        return found

    on_cpu = quote()
    assert on_cpu["seconds"] > 0 == on_cpu["seconds_unknown"]
    config = root / "config.yaml"
    config.write_text(f"{config.read_text()}  stages: {{generate: {{gpus: 1}}}}\n")
    on_gpu = quote()
    assert (on_gpu["seconds"], on_gpu["gpu_hours"]) == (0, 0)
    assert on_gpu["seconds_unknown"] == on_gpu["gpu_hours_unknown"] == on_gpu["jobs"] == 6
    assert "left out: time on cpu" in invoke("price").stdout
