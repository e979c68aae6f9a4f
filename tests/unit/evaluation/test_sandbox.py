"""What the sandbox promises and tells; hostile programs are in attacks/."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mixlab.config.problems import UserError
from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation import sandbox as sandbox_module
from mixlab.evaluation import system_calls
from mixlab.evaluation.sandbox import LABEL_BUBBLEWRAP, LABEL_FALLBACK, LABEL_WEAKER, Program, Sandbox

LIMITS = SandboxLimits(wall_seconds=20, cpu_seconds=1, processes=8)
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


def test_a_child_that_reaches_the_end_does_not_pass_for_its_parent(box):
    assert (
        reason(box, "import os, time\nif os.fork():\n    time.sleep(.3)\n    assert False") == "raised AssertionError"
    )


def test_a_sandbox_that_cannot_be_set_up_is_no_programs_fault(tmp_path):
    inside = tmp_path / "mixlab/evaluation"
    shutil.copytree(sandbox_module._ROOT / "mixlab/evaluation", inside)
    broken = inside / "warden.py"
    broken.write_text(broken.read_text().replace('os.chdir("/tmp")', 'os.chdir("/nowhere")'))
    with Sandbox(1) as one:
        (only,) = one._wardens
        only.stop()
        helper = only._helper
        helper.command = tuple(part.replace(str(sandbox_module._ROOT), str(tmp_path)) for part in helper.command)
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


def test_much_output_within_the_limit_does_not_block_a_program(box):
    assert reason(box, "print('x' * 10 ** 6)", output_bytes=2 * 10**6) == "passed"


@pytest.mark.parametrize("path", ["/x", "/usr/lib/x", "/dev/x", "/dev/shm/x", "/proc/x", "/inside/x"])
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


@pytest.mark.parametrize("missing", ["libseccomp", "bubblewrap"])
def test_what_must_be_strong_runs_nothing_where_it_is_weaker(missing, monkeypatch):
    if missing == "libseccomp":
        monkeypatch.setattr(system_calls, "_LIBRARY", "libnowhere.so.9")
    allow = missing != "bubblewrap"
    with pytest.raises(
        UserError, match=r"machine.sandbox_require is strong.*apt install bubblewrap libseccomp2"
    ) as told:
        Sandbox(1, require="strong", allow_bubblewrap=allow)
    assert told.value.exit_code == 2
    assert ("libnowhere.so.9" in str(told.value)) == allow
    assert ("bubblewrap is not installed" in str(told.value)) != allow


def test_the_kernels_refusal_is_told_in_its_own_words(monkeypatch, tmp_path):
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(sandbox_module.shutil, "which", lambda name: str(refusing))
    with pytest.raises(UserError, match="setting up uid map: Permission denied"):
        Sandbox(1, require="strong")


def test_what_must_be_strong_runs_where_it_is():
    with Sandbox(1, require="strong") as one:
        assert one.label == LABEL_BUBBLEWRAP
        assert one.run("pass", LIMITS).passed


def test_without_libseccomp_the_label_and_a_warning_say_so(monkeypatch, caplog):
    monkeypatch.setattr(system_calls, "_LIBRARY", "libnowhere.so.9")
    with Sandbox(1) as weaker:
        assert weaker.label == LABEL_WEAKER
        assert weaker.is_protected
        assert "WEAKER" in caplog.text
        assert "libnowhere.so.9" in caplog.text
        assert reason(weaker, "import os; os.memfd_create('x')") == "passed"
        assert reason(weaker, "open('/etc/passwd')") == "raised FileNotFoundError"


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
    root = Path("/tmp") / f"warden-{os.getpid()}"
    for name in sandbox_module._INSIDE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sandbox_module._ROOT / name, root / name)
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox_module, "_ROOT", root)
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
                assert ordinary.label == LABEL_BUBBLEWRAP
                assert reason(ordinary, "while True: pass") == "limit cpu_seconds"
                assert reason(ordinary, "import os; os.kill(-1, 9)") == "raised ProcessLookupError"
                judged = Program("def f(n): return n", "assert f(1) == 2")
                assert ordinary.run(judged, LIMITS).reason == "raised AssertionError"
                assert reason(ordinary, "open('/tmp/x', 'w').write('x')") == "passed"
                assert reason(ordinary, "import os; assert os.listdir('/tmp') == []") == "passed"
        finally:
            shutil.rmtree(root)


def slow_down(monkeypatch, words):
    """Let trials end as `words` say, one after another, and then as they do."""
    limits, run = [], sandbox_module._Warden.run

    def run_slowly(self, program, asked):
        limits.append(asked.wall_seconds)
        return words.pop(0) if words else run(self, program, asked)

    monkeypatch.setattr(sandbox_module._Warden, "run", run_slowly)
    return limits


@pytest.mark.parametrize("word", ["limit wall_seconds", "sandbox did not answer"])
def test_a_slow_trial_is_run_once_more_with_more_time(word, monkeypatch):
    limits = slow_down(monkeypatch, [word])
    with Sandbox(1) as made:
        assert made.label == LABEL_BUBBLEWRAP
    assert limits == [10, 60]


def test_a_machine_that_is_too_slow_for_a_trial_gets_no_weaker_protection(monkeypatch):
    limits = slow_down(monkeypatch, ["limit wall_seconds"] * 9)
    with pytest.raises(UserError, match=r"did not run a trial program within 60 s.*overloaded"):
        Sandbox(1)
    assert limits == [10, 60]


def test_a_command_that_hangs_is_told(monkeypatch):
    monkeypatch.setattr(sandbox_module, "_LONGEST_TRIAL_SECONDS", 0.2)
    hanging = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert sandbox_module._Warden(hanging, b"", alone=True, uid=61_200).explain() == "it did not end within 0.2 s"
