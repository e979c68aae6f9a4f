"""The warden alone, without a sandbox around it."""

import ctypes
import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mixlab.evaluation import warden


@pytest.mark.parametrize("failing", ["prctl", "capset"])
def test_rights_that_cannot_be_given_up_are_an_error(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {name: lambda *arguments, result=-(name == failing): result for name in ("prctl", "capset")}
    monkeypatch.setattr(warden.ctypes, "CDLL", lambda *arguments, **options: SimpleNamespace(**calls))
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EPERM)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(OSError, match="rights could not be given up: Operation not permitted"):
        warden.drop_rights(1001)


ORPHAN = """
import ctypes, os, time
from mixlab.evaluation import warden

def children():
    return open(f"/proc/self/task/{os.getpid()}/children").read().split()

ctypes.CDLL(None).prctl(warden.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.waitpid(pid, 0)
print(len(children()))
warden.end_children(pid)
print(len(children()))
"""


def test_a_daemon_that_left_its_parents_is_found_and_ended() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]
