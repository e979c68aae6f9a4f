"""Records of provenance: what is read of them, and that a damaged one is named and passed over."""

import json
from pathlib import Path
from typing import Any

import pytest

from mixlab.artifacts.costs import read_seconds
from mixlab.artifacts.records import Records, parse_record
from mixlab.artifacts.store import Store

NAME = "ipt", "0123456789abcdef"
GOOD = {"finished": "2026-11-20T10:00:00+00:00", "seconds": 3.0}


def write(root: Path, file: str, record: Any) -> None:
    path = root / "provenance" / NAME[0] / NAME[1] / f"{file}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seconds": None}, "seconds: expected a number, got None"),
        ({"seconds": -1}, "seconds: expected a number, got -1"),
        ({"finished": "soon"}, "Invalid isoformat string: 'soon'"),
        ({"facts": None}, "facts: expected a mapping, got None"),
        ({"machine": {"gpus": "many"}}, "gpus: expected a number, got 'many'"),
        ({"process": {"start_seconds": []}}, "start_seconds: expected a number, got []"),
    ],
)
def test_a_damaged_record_is_passed_over_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], told: str
) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "bad", {**GOOD, **change})
    records = Records(Store(tmp_path))
    assert [one.seconds for one in (*records.read(NAME), *records.read(NAME))] == [3.0, 3.0]
    (warning,) = caplog.messages
    assert warning == f"mixlab: provenance/ipt/{NAME[1]}/bad.json is passed over: {told}"
    assert read_seconds(Store(tmp_path), NAME) == 3.0


def test_a_record_says_what_was_held_and_whether_it_was_all() -> None:
    def read(**fields: Any) -> Any:
        return parse_record("one", json.dumps({**GOOD, **fields}))

    assert (read().gpus, read().declared_gpus, read(machine={"gpus": 8}).gpus) == (0, None, 8)
    old = read(facts={"device": "NVIDIA H100 80GB HBM3", "ranks": "4"})
    assert (old.gpus, old.declared_gpus, old.processes) == (4, None, 4)
    shared = {"device": "NVIDIA H100 80GB HBM3", "gpus": "4"}
    assert [read(machine={"gpus": held}, facts=shared).gpus for held in (0, 8)] == [4, 8]
    assert read(machine={"gpus": 0}, facts={"served_model": "large", "gpus": "0"}).gpus == 0
    steps = ("1-36", "13-36", "")
    assert [read(facts={"watched_steps": one}).is_resumed for one in steps] == [False, True, False]
    assert [read(facts={}).is_adopted, read(facts={"adopted": "why"}).is_adopted] == [False, True]
