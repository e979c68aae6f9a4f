"""What was spent: sums over provenance, each record read once."""

from pathlib import Path
from typing import Any

from mixlab.artifacts.elapsed import elapsed_path
from mixlab.artifacts.spending import Ledger
from mixlab.artifacts.store import Store, write_json

KEY = "0123456789abcdef"


def write_record(root: Path, stage: str, number: int, **fields: Any) -> None:
    record = {"finished": f"2026-01-0{number}T00:00:00+00:00", **fields}
    write_json(root / "provenance" / stage / KEY / f"{number}.json", record)


def test_every_run_of_an_artifact_counts_with_the_gpus_that_it_held(tmp_path: Path) -> None:
    write_record(tmp_path, "ipt", 2, seconds=10.0, machine={"gpus": 8}, facts={"ranks": "16", "device": "cuda"})
    write_record(tmp_path, "ipt", 1, seconds=30.0, machine={"gpus": 8}, facts={"ranks": "16", "device": "cuda"})
    # before GPUs were noted
    write_record(tmp_path, "sft", 1, seconds=5.0, machine={}, facts={"ranks": "4", "device": "NVIDIA H100 80GB HBM3"})
    write_record(tmp_path, "pack", 1, seconds=2.0, machine={"gpus": 0})
    ledger = Ledger(Store(tmp_path))
    trained = ledger.add_up([("ipt", KEY), ("sft", KEY), ("average", KEY)])
    assert (trained.seconds, trained.gpu_seconds, trained.process_seconds) == (45.0, 340.0, 660.0)
    assert trained.newest_seconds == (10.0, 5.0)
    assert ledger.add_up([("pack", KEY)]).gpu_seconds == 0.0


def test_a_run_that_went_on_from_a_state_is_no_typical_one_and_an_adoption_took_nothing(tmp_path: Path) -> None:
    write_record(tmp_path, "ipt", 1, seconds=3.0, facts={"watched_steps": "31-36"})
    write_record(tmp_path, "sft", 1, seconds=5.0, facts={"watched_steps": "1-36"})
    write_record(tmp_path, "pack", 1, seconds=7.0, facts={"adopted": "made elsewhere"})
    spent = Ledger(Store(tmp_path)).add_up([(stage, KEY) for stage in ("ipt", "sft", "pack")])
    assert (spent.seconds, spent.newest_seconds) == (8.0, (5.0,))


def test_what_earlier_attempts_took_counts_by_the_gpus_that_they_held(tmp_path: Path) -> None:
    earlier = [
        {"seconds": 100.0, "gpus": 4, "processes": 4, "attempts": 2},
        {"seconds": 7.0, "gpus": 8, "processes": 8, "attempts": 1},
    ]
    on_gpus = {"ranks": "8", "device": "cuda", "watched_steps": "31-36"}
    write_record(tmp_path, "ipt", 1, seconds=3.0, machine={"gpus": 8}, facts=on_gpus, earlier=earlier)
    # a GPU that nobody asked for and that was there
    found = {"seconds": 2.0, "gpus": 0, "processes": 1, "attempts": 1}
    write_record(tmp_path, "sft", 1, seconds=5.0, machine={"gpus": 0}, facts={"device": "cuda"}, earlier=[found])
    ledger = Ledger(Store(tmp_path))
    trained, tuned = (ledger.add_up([(stage, KEY)]) for stage in ("ipt", "sft"))
    assert (trained.seconds, trained.gpu_seconds, trained.process_seconds) == (110.0, 480.0, 480.0)
    assert trained.newest_seconds == (110.0,)
    assert (tuned.seconds, tuned.gpu_seconds) == (7.0, 7.0)
    assert tuned.newest_seconds == (5.0,)


def test_attempts_that_left_nothing_yet_are_spent_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    attempts = [{"seconds": 9.0, "gpus": 8, "processes": 4, "attempts": 3}]
    write_json(elapsed_path(store, ("ipt", KEY)), attempts)
    spent = Ledger(store).add_up([], [("ipt", KEY), ("sft", KEY)])
    assert (spent.seconds, spent.gpu_seconds, spent.process_seconds) == (9.0, 72.0, 36.0)
    assert spent.newest_seconds == ()


def test_a_damaged_record_is_left_out_and_a_record_is_read_once(tmp_path: Path) -> None:
    write_record(tmp_path, "pack", 1, seconds=2.0)
    folder = tmp_path / "provenance/pack" / KEY
    (folder / "2.json").write_text("{")
    (folder / "3.json").write_text('{"seconds": "many"}')
    ledger = Ledger(Store(tmp_path))
    assert ledger.add_up([("pack", KEY)]).seconds == 2.0
    (folder / "1.json").unlink()
    assert ledger.add_up([("pack", KEY)]).seconds == 2.0
