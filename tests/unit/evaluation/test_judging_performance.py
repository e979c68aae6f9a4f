"""What `performance/judging.py` measures, smaller in the quick suite: nothing asked twice, over a cap, or lost."""

import subprocess
import time
from pathlib import Path

import judging
import pytest


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    share, again = judging.measure_rate(tmp_path, 500)
    assert (share > 0, again) == (True, 0)


@pytest.mark.parametrize(("items", "kills"), [(300, 1), pytest.param(10_000, 10, marks=pytest.mark.long)])
def test_killed_runs_repeat_at_most_what_was_under_way(tmp_path: Path, items: int, kills: int) -> None:
    calls, most = judging.measure_kills(tmp_path, items, kills)
    assert items <= calls <= most
    with judging.VerdictStore(tmp_path / "judge.sqlite") as store:
        (spent,) = store.list_spent()
    # what was noted as sent and cut off before it left counts all the same
    assert (spent.replies, calls <= spent.calls <= most) == (items, True)
    assert list((tmp_path / "judge.journals").iterdir()) == []


def test_two_processes_at_once_ask_nothing_twice(tmp_path: Path) -> None:
    judging.write_answers(tmp_path / "answers", 200)
    with judging.serve(latency=0.1) as server:
        jobs = [judging._start_job(server.url, tmp_path, 200, name) for name in ("one", "other")]
        assert [job.wait(60) for job in jobs] == [0, 0]
        asked, _ = server.stats()
    assert (len(asked), set(asked.values())) == (200, {1})
    assert (tmp_path / "one/verdicts.jsonl").read_bytes() == (tmp_path / "other/verdicts.jsonl").read_bytes()


def test_a_process_takes_over_what_a_killed_one_was_asking(tmp_path: Path) -> None:
    """The other holds claims and waits for a server that hangs; when it is killed, its questions are asked at once."""
    judging.write_answers(tmp_path / "answers", 40)
    with judging.serve(latency=60.0) as slow, judging.serve(latency=0.01) as server:
        hanging = judging._start_job(slow.url, tmp_path, 40, "hanging")
        while slow.calls() < 40:
            time.sleep(0.02)
        waiting = judging._start_job(server.url, tmp_path, 40, "waiting")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2.0)
        assert server.calls() == 0
        hanging.kill()
        hanging.wait()
        assert waiting.wait(60) == 0
        assert server.calls() == 40


@pytest.mark.parametrize(("items", "cap"), [(150, 100), pytest.param(1_000, 100, marks=pytest.mark.long)])
def test_a_cap_of_calls_is_met_exactly(tmp_path: Path, items: int, cap: int) -> None:
    assert judging.measure_budget(tmp_path, items, cap) == (cap, items - cap)


@pytest.mark.parametrize(("items", "share"), [(400, 0.1), pytest.param(10_000, 0.02, marks=pytest.mark.long)])
def test_every_verdict_is_accounted_for_however_the_server_misbehaves(tmp_path: Path, items: int, share: float) -> None:
    became, met = judging.measure_faults(tmp_path, items, share)
    assert became["right"] + became["unparsed"] == items
    assert sum(count for fault, count in met.items() if fault) >= items * share / 2
    with judging.VerdictStore(tmp_path / "judge.sqlite") as store:
        (spent,) = store.list_spent()
    assert spent.calls == met.total()
