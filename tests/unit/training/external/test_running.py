"""Running a trainer's commands: order, environment, failures, signals, and never two at a time."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from training_fakes import child_environment

from mixlab.config.problems import DataError
from mixlab.training.external import running
from mixlab.training.external.running import Surroundings, run_commands

WHAT = "ipt 0123: trainer 'second'"


def python(program: str) -> list[str]:
    return [sys.executable, "-S", "-c", program]


def around(folder: Path, **environment: str) -> Surroundings:
    return Surroundings(folder, environment, 0.3)


def fail(tmp_path: Path, *commands: list[str]) -> str:
    with pytest.raises(DataError) as caught:
        run_commands(WHAT, commands, around(tmp_path), tmp_path / "kept")
    return str(caught.value)


def ask_to_end_when(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be asked to end as soon as a file is there."""

    class Asked:
        code = 143

        @property
        def asked(self) -> bool:
            return path.exists()

    @contextmanager
    def watch() -> Iterator[Asked]:
        yield Asked()

    monkeypatch.setattr(running, "watch_termination", watch)


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_dead(process: int) -> None:
    end = time.monotonic() + 5
    while is_alive(process):
        assert time.monotonic() < end, "it never ended"
        time.sleep(0.01)


def test_commands_run_in_order_in_their_folder_without_a_shell(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    say = "import os, sys; print(os.getcwd(), os.environ['WHO'], *sys.argv[1:]); print('err', file=sys.stderr)"
    commands = [[*python(say), "$HOME; *"], [*python("print('二')")]]
    run_commands(WHAT, commands, around(tmp_path, WHO="花子", PYTHONUTF8="1"), tmp_path / "kept")
    told = capfd.readouterr().err
    assert f"{tmp_path} 花子 $HOME; *\n" in told
    assert "err\n" in told
    assert told.index("花子") < told.index("二")


def test_a_command_that_fails_is_told_with_its_code_its_last_lines_and_the_cure(tmp_path: Path) -> None:
    after = tmp_path / "after"
    program = (
        "print('\\n'.join(f'line {n}' for n in range(99))); print('10%\\r50%\\rstep 7: boom'); raise SystemExit(3)"
    )
    told = fail(tmp_path, python("pass"), python(program), python(f"open({str(after)!r}, 'w')"))
    assert told.startswith(f"{WHAT}: command 2 of 3 (python")
    assert "left with exit code 3" in told
    assert "\n  | line 98\n  | step 7: boom\n" in told
    assert "line 40" not in told
    assert f"is kept in {tmp_path / 'kept'}" in told
    assert not after.exists()


def test_a_command_that_was_killed_is_told_with_its_signal(tmp_path: Path) -> None:
    told = fail(tmp_path, python("import os; os.kill(os.getpid(), 9)"))
    assert "was ended by SIGKILL (often: out of memory)" in told
    assert "| (nothing)" in told


def test_a_command_or_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be started: no-such-program: No such file or directory" in fail(tmp_path, ["no-such-program"])
    with pytest.raises(DataError, match=r"the working folder of its commands, .*gone, is not there"):
        run_commands(WHAT, [["true"]], around(tmp_path / "gone"), tmp_path / "kept")


@pytest.mark.parametrize("ignores", [False, True], ids=["ends", "ignores SIGTERM"])
def test_sigterm_is_passed_on_and_what_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignores: bool
) -> None:
    ready, said = tmp_path / "ready", tmp_path / "said"
    ask_to_end_when(ready, monkeypatch)
    handler = "signal.SIG_IGN" if ignores else f"lambda *_: (open({str(said)!r}, 'w').write('saved'), os._exit(0))"
    program = f"import os, signal, time; signal.signal(15, {handler}); "
    program += f"open({str(ready)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    started = time.monotonic()
    after = tmp_path / "after"
    with pytest.raises(SystemExit) as caught:
        run_commands(WHAT, [python(program), python(f"open({str(after)!r}, 'w')")], around(tmp_path), tmp_path / "kept")
    # the command left with 0, as Megatron does after it saved; the next one must not take that for the end
    assert caught.value.code == 143
    assert not after.exists()
    assert said.exists() != ignores
    assert time.monotonic() - started < 10
    wait_until_dead(int(ready.read_text()))


def test_nothing_that_a_command_started_outlives_it(tmp_path: Path) -> None:
    child = tmp_path / "child"
    program = f"import subprocess; open({str(child)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))"
    run_commands(WHAT, [python(program)], around(tmp_path), tmp_path / "kept")
    wait_until_dead(int(child.read_text()))


def test_a_second_run_beside_a_living_command_is_refused_and_names_it(tmp_path: Path) -> None:
    with (tmp_path / "trainer.lock").open("w") as file:
        file.write("4711")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        told = fail(tmp_path, ["true"])
    assert told == f"{WHAT}: its command of an earlier attempt, process 4711, is still alive; end it, then run again"
    run_commands(WHAT, [["true"]], around(tmp_path), tmp_path / "kept")


def test_a_command_that_outlives_a_killed_run_keeps_the_next_one_out(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mixlab.training.external.running import *; "
        "folder = Path(sys.argv[1]); "
        "run_commands('it', [['sleep', '60']], Surroundings(folder, {}, 1.0), folder / 'kept')"
    )
    run = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=child_environment())
    lock = tmp_path / "trainer.lock"
    while not lock.exists() or not lock.read_text():
        assert run.poll() is None
        time.sleep(0.02)
    run.kill()
    run.wait()
    process = int(lock.read_text().split()[0])
    try:
        assert f"process {process} on {socket.gethostname()}, is still alive" in fail(tmp_path, ["true"])
    finally:
        os.kill(process, signal.SIGKILL)
    wait_until_dead(process)
    run_commands(WHAT, [["true"]], around(tmp_path), tmp_path / "kept")


def test_an_interrupted_run_ends_its_command_politely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready, said = tmp_path / "ready", tmp_path / "said"

    def interrupt(*_: object) -> int:
        while not ready.exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "_wait", interrupt)
    program = f"import os, signal, time; signal.signal(15, lambda *_: (open({str(said)!r}, 'w'), os._exit(0))); "
    program += f"open({str(ready)!r}, 'w'); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        run_commands(WHAT, [python(program)], Surroundings(tmp_path, {}, 10.0), tmp_path / "kept")
    assert said.exists()
