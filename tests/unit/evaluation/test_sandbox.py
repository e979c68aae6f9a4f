"""Each test attacks one property of the sandbox."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from mixlab.config.problems import UserError
from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation import sandbox as sandbox_module
from mixlab.evaluation.sandbox import LABEL_FALLBACK, Sandbox

LIMITS = SandboxLimits(wall_seconds=3, cpu_seconds=1, processes=8)
SYSTEM_PYTHON = Path("/usr/bin/python3")

needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
pytestmark = needs_bubblewrap


@pytest.fixture(scope="module")
def box():
    with Sandbox(2) as made:
        assert made.is_protected
        yield made


def reason(box, source, **limits):
    return box.run(source, LIMITS.model_copy(update=limits)).reason


def test_a_program_that_ends_has_passed(box):
    assert box.run("import math\nassert math.gcd(4, 6) == 2", LIMITS).passed


def test_a_failed_assertion_is_named(box):
    assert reason(box, "assert 1 == 2") == "raised AssertionError"


def test_what_is_not_python_fails(box):
    assert reason(box, "def f(:") == "raised SyntaxError"


@pytest.mark.parametrize("leave", ["import os; os._exit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"])
def test_leaving_early_is_not_passing(box, leave):
    assert not box.run(leave + "\nassert False", LIMITS).passed


def test_exit_status_zero_is_not_passing(box):
    assert reason(box, "import sys; sys.exit(0)\nassert False") == "raised SystemExit"


def test_a_child_that_reaches_the_end_does_not_pass_for_its_parent(box):
    assert (
        reason(box, "import os, time\nif os.fork():\n    time.sleep(.3)\n    assert False") == "raised AssertionError"
    )


def test_an_infinite_loop_ends_at_the_cpu_limit(box):
    assert reason(box, "while True: pass") == "limit cpu_seconds"


def test_an_infinite_loop_inside_one_operation_ends_at_the_cpu_limit(box):
    assert reason(box, "try:\n    10 ** 10 ** 9\nexcept BaseException: pass") == "limit cpu_seconds"


def test_sleeping_ends_at_the_wall_limit(box):
    start = time.monotonic()
    assert reason(box, "import time; time.sleep(60)", wall_seconds=0.5) == "limit wall_seconds"
    assert time.monotonic() - start < 5


def test_memory_is_bounded(box):
    assert reason(box, "x = bytearray(10 ** 9)") == "raised MemoryError"


def test_a_sandbox_that_cannot_be_set_up_is_no_programs_fault(tmp_path):
    warden = sandbox_module._WARDEN
    broken = tmp_path / "warden.py"
    broken.write_text(warden.read_text().replace('os.chdir("/tmp")', 'os.chdir("/nowhere")'))
    with Sandbox(1) as one:
        (only,) = one._wardens
        only.stop()
        only._command = tuple(str(broken) if part == str(warden) else part for part in only._command)
        with pytest.raises(RuntimeError, match="No such file or directory: '/nowhere'"):
            one.run("pass", LIMITS)


FIVE_CHILDREN = "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        time.sleep(1); os._exit(0)"


def test_a_fork_bomb_is_bounded_and_leaves_nothing():
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    with Sandbox(1) as one:
        assert reason(one, bomb, wall_seconds=1, cpu_seconds=20) == "limit wall_seconds"
        assert reason(one, FIVE_CHILDREN) == "passed"


def test_processes_beyond_the_limit_cannot_be_started(box):
    start = "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n        time.sleep(2); os._exit(0)"
    assert reason(box, start) == "raised BlockingIOError"


def test_what_a_program_starts_does_not_outlive_it(box):
    leave = "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(30)"
    with Sandbox(1) as one:
        for _ in range(12):
            assert one.run(leave, LIMITS).passed
        assert one.run(FIVE_CHILDREN, LIMITS).passed


def test_output_is_bounded(box):
    assert reason(box, "while True: print('x' * 1000)") == "limit output_bytes"


def test_much_output_within_the_limit_does_not_block_a_program(box):
    assert reason(box, "print('x' * 10 ** 6)", output_bytes=2 * 10**6) == "passed"


def test_a_file_is_bounded(box):
    write = "with open('/tmp/x', 'wb') as f:\n    for _ in range(9): f.write(b'x' * 2 ** 19); f.flush()"
    assert reason(box, write) == "raised OSError"


def test_many_files_are_bounded(box):
    write = "for n in range(200):\n    with open(f'/tmp/{n}', 'wb') as f: f.write(b'x' * 2 ** 19)"
    assert reason(box, write) == "raised OSError"


@pytest.mark.parametrize("path", ["/x", "/usr/lib/x", "/dev/x", "/dev/shm/x", "/proc/x", "/warden.py"])
def test_nothing_outside_tmp_can_be_written(box, path):
    assert reason(box, f"open({path!r}, 'a').write('x')").startswith("raised ")


def test_a_file_of_ours_cannot_be_read(box, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("token")
    secret.chmod(0o644)
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    assert reason(box, f"open({str(secret)!r})") == "raised FileNotFoundError"
    assert reason(box, f"open({str(Path(__file__).resolve())!r})") == "raised FileNotFoundError"


@pytest.mark.parametrize("path", ["/etc/passwd", "/home", "/var", "/sys"])
def test_the_machines_files_are_not_there(box, path):
    assert reason(box, f"import os; os.stat({path!r})") == "raised FileNotFoundError"


def test_no_file_passes_from_one_program_to_the_next():
    with Sandbox(1) as one:
        assert one.run("open('/tmp/x', 'w').write('x')", LIMITS).passed
        assert one.run("import os; assert os.listdir('/tmp') == []", LIMITS).passed


def test_other_processes_cannot_be_seen_or_ended(box):
    assert reason(box, "import os; assert os.listdir('/proc') == []") == "passed"
    for target in ("-1", "1", "os.getppid()"):
        # process 1 of the namespace is the program's own; whatever it hits, the next program is untouched
        box.run(f"import os; os.kill({target}, 9)", LIMITS)
        assert all(outcome.passed for outcome in box.run_all(["a = 1", "a = 2", "a = 3"], LIMITS))


def test_the_environment_is_not_passed_on(box, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cr3t")
    with Sandbox(1) as fresh:
        assert fresh.run("import os; assert not set(os.environ) - {'PWD', 'LC_CTYPE'}, os.environ", LIMITS).passed


def test_a_listening_port_of_this_machine_cannot_be_reached(box):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)"
        assert reason(box, connect) == "raised ConnectionRefusedError"
    assert reason(box, "import socket; socket.create_connection(('192.0.2.1', 80), 1)") == "raised OSError"


def test_rights_cannot_be_taken_back(box):
    assert reason(box, "import os; os.setuid(0)\nassert False").startswith("raised PermissionError")
    mount = "import ctypes; assert ctypes.CDLL(None).mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None) == 0"
    assert reason(box, mount) == "raised AssertionError"


def test_a_crash_of_the_interpreter_is_one_programs_failure(box):
    assert reason(box, "import ctypes; ctypes.string_at(0)") == "killed SIGSEGV"
    assert box.run("pass", LIMITS).passed


def test_standard_input_is_empty(box):
    assert reason(box, "input()") == "raised EOFError"


def test_no_third_party_package_can_be_imported(box):
    assert reason(box, "import pydantic") == "raised ModuleNotFoundError"


def test_outcomes_come_in_order_and_equal_programs_run_once(box):
    sources = ["pass", "assert False", "pass", "1 / 0"]
    reasons = [outcome.reason for outcome in box.run_all(sources, LIMITS)]
    assert reasons == ["passed", "raised AssertionError", "passed", "raised ZeroDivisionError"]
    rare = "import random; raise [OSError, ValueError, KeyError, EOFError][random.SystemRandom().randrange(4)]"
    assert len(set(box.run_all([rare] * 20, LIMITS))) == 1


def test_a_program_takes_less_than_fifty_milliseconds(box):
    start = time.monotonic()
    assert all(outcome.passed for outcome in box.run_all([f"x = {number}" for number in range(60)], LIMITS))
    assert time.monotonic() - start < 60 * 0.05


def test_without_bubblewrap_the_label_and_a_warning_say_so(monkeypatch, caplog):
    if not SYSTEM_PYTHON.exists():
        pytest.skip("no Python that every user can read")
    monkeypatch.setattr(sandbox_module, "_interpreter", SYSTEM_PYTHON.resolve)
    with Sandbox(1, allow_bubblewrap=False) as bare:
        assert bare.label == LABEL_FALLBACK
        assert "UNPROTECTED" in caplog.text
        assert bare.run("pass", LIMITS).passed
        assert bare.run("while True: pass", LIMITS).reason == "limit cpu_seconds"
        assert bare.run("x = bytearray(10 ** 9)", LIMITS).reason == "raised MemoryError"
        assert bare.run("import os; assert not set(os.environ) - {'LC_CTYPE'}, os.environ", LIMITS).passed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could run tested code as root")
def test_without_bubblewrap_root_runs_no_models_code_as_root(monkeypatch, tmp_path):
    hidden = tmp_path / "python"
    hidden.touch()
    tmp_path.chmod(0o700)
    monkeypatch.setattr(sandbox_module, "_interpreter", lambda: hidden)
    with pytest.raises(UserError, match="install bubblewrap"):
        Sandbox(1, allow_bubblewrap=False)


@pytest.mark.skipif(os.geteuid() != 0 or not SYSTEM_PYTHON.exists(), reason="only root can become another user")
def test_an_ordinary_users_sandbox_holds_as_well(tmp_path):
    """The warden's other way: user namespaces instead of a user of its own, with the system's Python."""
    warden = Path("/tmp") / f"warden-{os.getpid()}.py"
    shutil.copy(sandbox_module._WARDEN, warden)
    warden.chmod(0o644)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox_module, "_WARDEN", warden)
        patch.setattr(sandbox_module, "_interpreter", SYSTEM_PYTHON.resolve)
        patch.setattr(os, "geteuid", lambda: 4242)
        patch.setattr(sandbox_module.sys, "base_prefix", "/usr")
        patch.setattr(sandbox_module.sysconfig, "get_paths", lambda: {"stdlib": "/usr/lib", "platstdlib": "/usr/lib"})
        popen = subprocess.Popen
        as_other = lambda *args, **named: popen(*args, user=4242, group=4242, extra_groups=[], **named)  # noqa: E731
        patch.setattr(sandbox_module.subprocess, "Popen", as_other)
        try:
            with Sandbox(1) as ordinary:
                if not ordinary.is_protected:
                    pytest.skip("this kernel gives ordinary users no namespaces")
                assert reason(ordinary, "import os; assert os.listdir('/proc') == [] == os.listdir('/tmp')") == "passed"
                assert reason(ordinary, "import os\nwhile True: os.fork()").startswith("raised BlockingIOError")
                assert reason(ordinary, "while True: pass") == "limit cpu_seconds"
                assert reason(ordinary, "open('/tmp/x', 'w').write('x')") == "passed"
                assert reason(ordinary, "import os; assert os.listdir('/tmp') == []") == "passed"
        finally:
            warden.unlink()
