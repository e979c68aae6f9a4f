"""`mixlab status`: what is done, at work, waiting and failed, from folders alone."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checkouts import REPOSITORY, environment
from click.testing import Result
from dvc_checkouts import plan_micro
from status_lab import change, keep_busy, make

from mixlab.artifacts.attempts import attempt_path
from mixlab.artifacts.elapsed import elapsed_path
from mixlab.artifacts.store import Store, write_json
from mixlab.cli import _live

Invoke = Callable[..., Result]


@pytest.fixture
def busy(micro: Path) -> Iterator[Path]:
    """The micro study, half done."""
    with keep_busy(micro):
        yield micro


def look(invoke: Invoke, *arguments: str) -> dict[str, Any]:
    result = invoke("status", "--json", *arguments)
    assert result.exit_code == 0
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_every_artifact_is_counted_once_and_gpu_hours_are_added_up(busy: Path, invoke: Invoke) -> None:
    seen = look(invoke)
    assert seen["studies"] == ["micro"]
    rows = {row["stage"]: row for row in seen["stages"]}
    counts = {name: rows["ipt"][name] for name in ("planned", "done", "running", "waiting", "failed", "fetch")}
    assert counts == {"planned": 2, "done": 0, "running": 1, "waiting": 0, "failed": 1, "fetch": 0}
    assert (rows["sft"]["waiting"], rows["pretrain"]["done"]) == (4, 1)
    assert rows["pretrain"]["gpu_hours"] == pytest.approx(0.2)
    assert seen["totals"]["gpu_hours"] == pytest.approx(0.2)
    states = ("done", "running", "waiting", "failed", "not_needed")
    assert all(row["planned"] == sum(row[state] for state in states) for row in [*rows.values(), seen["totals"]])
    assert seen["totals"]["planned"] == len(plan_micro(busy).nodes)
    # nobody knows what a model takes that was never made
    assert (rows["pretrain"]["left_seconds"], rows["sft"]["left_seconds"]) == (0, None)
    assert not seen["is_done"]


def test_attempts_that_left_no_artifact_yet_are_spent_as_well(busy: Path, invoke: Invoke) -> None:
    before = look(invoke)["totals"]
    failed = plan_micro(busy).by_stage("ipt")[1]
    attempts = [{"seconds": 450.0, "gpus": 8, "processes": 16, "attempts": 2}]
    path = elapsed_path(Store(busy), failed.name)
    write_json(path, attempts)
    seen = look(invoke)
    path.unlink()
    (row,) = (one for one in seen["stages"] if one["stage"] == "ipt")
    assert (row["job_seconds"], row["gpu_hours"], row["process_hours"]) == (450.0, 1.0, 2.0)
    assert seen["totals"]["gpu_hours"] == pytest.approx(before["gpu_hours"] + 1)
    assert row["left_seconds"] is None


def test_jobs_at_work_are_told_with_process_and_progress_and_failures_with_their_log(
    busy: Path, invoke: Invoke
) -> None:
    seen = look(invoke)
    (job,) = seen["running"]
    assert (job["stage"], job["process"], job["job"], job["step"], job["steps"]) == ("ipt", os.getpid(), "4711", 12, 36)
    assert 119 <= job["elapsed_seconds"] < 300
    assert job["left_seconds"] == pytest.approx(24 * 8)
    (failure,) = seen["failed"]
    assert failure["error"] == "ValueError: the loss is not finite\nstep 7"
    assert failure["log_tail"] == [*(f"step {n} of 36" for n in range(1, 8)), "mixlab: the loss is not finite"]
    plan = plan_micro(busy)
    below = [node for node in plan.nodes.values() if failure["key"] in plan.closure([node.key])]
    assert failure["holds_up"] == len(below) - 1 > 10
    text = invoke("status").stdout
    assert f"process {os.getpid()} on" in text
    assert "Slurm job 4711" in text
    assert "step 12 of 36" in text
    shown = f"    ValueError: the loss is not finite\n    logs/ipt/{failure['key']}.log:\n    | step 1 of 36\n"
    assert shown in text


def test_a_job_whose_own_note_is_torn_or_hidden_is_told_all_the_same(
    busy: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that died left an empty file, and the job that Slurm starts again has the lock, and not yet a note."""
    working = plan_micro(busy).by_stage("ipt")[0]
    path = attempt_path(Store(busy), working.name)
    whole = path.read_text()
    path.write_text("")
    (job,) = look(invoke)["running"]
    assert (job["key"], job["host"], job["process"]) == (working.key, "?", 0)
    assert job["elapsed_seconds"] < 60
    path.write_text(whole)
    read = Path.read_text

    def refuse(self: Path, *arguments: Any, **options: Any) -> str:
        if self.name == path.name:
            raise PermissionError(13, "no", str(self))
        return read(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    (job,) = look(invoke)["running"]
    assert (job["key"], job["host"]) == (working.key, "?")


def test_a_log_that_would_clear_the_terminal_is_shown_as_plain_text(busy: Path, invoke: Invoke) -> None:
    """Two writers of one log leave a stretch of zeros; bars and colours are drawn for a terminal of their own."""
    failing = plan_micro(busy).by_stage("ipt")[1]
    log = busy / "logs/ipt" / f"{failing.key}.log"
    bar = b"".join(b"\rstep %d of 36" % number for number in range(30))
    log.write_bytes(
        b"\x00" * 9000 + b"\x1b[2J\x1b[31mred\x07 \x9b2J\x1b[0m\n" + bar + b"\r\n\n\xff \xe6\x95\xb0\tend\r\n"
    )
    change(Store(busy), failing, error="\x1b[2Jcleared\x1b]0;title\x07\nmore")
    (failure,) = look(invoke)["failed"]
    assert failure["log_tail"] == [
        "red \N{REPLACEMENT CHARACTER}2J",
        "step 29 of 36",
        "\N{REPLACEMENT CHARACTER} 数     end",
    ]
    text = invoke("status").stdout
    assert "    cleared\n" in text
    assert "\x1b" not in text


def test_a_wide_letter_takes_two_columns_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((7, 20)))
    assert _live._fit("数学数学数学\nabcdefghi\nか\u3099").splitlines() == ["数学数", "abcdefg", "か\u3099", "q leaves"]


def test_what_can_be_fetched_is_done_and_what_nothing_needs_is_not_counted(micro: Path, invoke: Invoke) -> None:
    plan = plan_micro(micro)
    for node in plan.by_stage("scores"):
        path = Store(micro).pointer(*node.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    seen = look(invoke)
    rows = {row["stage"]: row for row in seen["stages"]}
    assert (rows["scores"]["done"], rows["scores"]["fetch"], rows["scores"]["waiting"]) == (6, 6, 0)
    assert (rows["ipt"]["not_needed"], rows["ipt"]["waiting"], rows["aggregate"]["waiting"]) == (2, 0, 1)
    text = invoke("status").stdout
    assert f"{seen['totals']['not_needed']} unfinished artifacts that nothing needs any more" in text
    assert "No run is at work" in text


def test_a_finished_study_says_so_and_watching_it_ends(micro: Path, invoke: Invoke) -> None:
    for node in plan_micro(micro).nodes.values():
        make(micro, node)
    assert invoke("status").stdout.splitlines()[-1] == "Nothing to be done."
    (line,) = invoke("status", "--watch").stdout.splitlines()
    assert line.endswith("done; finished")
    (line,) = invoke("status", "--watch", "--json").stdout.splitlines()
    assert json.loads(line)["is_done"]


def test_watching_tells_a_log_what_changes_until_the_study_is_finished(
    micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = list(plan_micro(micro).nodes.values())
    for node in nodes[:-2]:
        make(micro, node)
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks % 2 == 0:
            make(micro, nodes[looks // 2 - 3])

    monkeypatch.setattr("mixlab.cli._live.time.sleep", sleep)
    lines = [line.split(maxsplit=2)[2] for line in invoke("status", "--watch", "--every", "60").stdout.splitlines()]
    total = len(nodes)
    assert lines == [
        f"micro: {total - 2} of {total} done, 2 waiting",
        f"micro: {total - 1} of {total} done, 1 waiting",
        f"micro: {total} of {total} done; finished",
    ]


def test_a_terminal_is_drawn_over_until_q_and_left_as_it_was(busy: Path) -> None:
    said, code = watch_in_terminal(busy, b"q")
    assert code == 0
    assert said.count("\x1b[?1049h") == said.count("\x1b[?1049l") == 1
    assert "q leaves" in said
    assert "step 12 of 36" in said.partition("\x1b[?1049l")[2]


def test_an_interrupt_leaves_the_terminal_as_it_was(busy: Path) -> None:
    said, code = watch_in_terminal(busy, b"\x03")
    assert code == 130
    assert said.count("\x1b[?1049l") == 1
    assert "Traceback" not in said


def watch_in_terminal(root: Path, key: bytes) -> tuple[str, int]:
    """Watch in a terminal of 100 x 20, press a key once something is drawn, and return all it said."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "mixlab.cli", "status", "--watch"]
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command],
        cwd=root,
        env={**environment(REPOSITORY), "COLUMNS": "100", "LINES": "20"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    said, pressed, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end:
        ready, _, _ = select.select([leader], [], [], 0.5)
        try:
            said += os.read(leader, 65_536) if ready else b""
        except OSError:
            break  # the terminal's last user has gone
        if b"q leaves" in said and not pressed:
            pressed = os.write(leader, key) == 1
    os.close(leader)
    return said.decode(), process.wait(timeout=30)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("mcro",), "no such study; did you mean 'micro'?"),
        (("--every", "3"), "--every goes with --watch"),
        (("--watch", "--every", "0"), "0.0 is not in the range"),
    ],
)
def test_a_mistake_is_told(micro: Path, invoke: Invoke, arguments: tuple[str, ...], told: str) -> None:
    result = invoke("status", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
