"""What an attack meets: hostile code in a wrong solution, tests that it must not pass, and a host that is watched."""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation.sandbox import LABEL_BUBBLEWRAP, Outcome, Program, Sandbox

LIMITS = SandboxLimits(wall_seconds=100, cpu_seconds=1, processes=8)
TESTS = "def check(candidate):\n    assert candidate(6) == 42, 'the right answer is 42'\n\ncheck(answer)\n"
WRONG = "\n\ndef answer(n):\n    return 0\n"


@pytest.fixture(scope="session")
def box():
    """One warden, so that each program follows another in the same place."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    with pytest.MonkeyPatch.context() as patch, Sandbox(1) as made:
        patch.setenv("CANARY_TOKEN", "s3cr3t")
        if made.label != LABEL_BUBBLEWRAP:
            pytest.skip(f"this machine has no strong sandbox: {made.label}")
        yield made


@dataclass
class Host:
    """Things of this machine that a program must neither reach nor harm."""

    folder: Path
    secret: str
    process: subprocess.Popen[bytes]
    server: socket.socket
    datagrams: socket.socket
    unix: socket.socket
    abstract: socket.socket
    home_file: Path
    visits: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "canary"

    def fill(self, source: str) -> str:
        """Write this machine's own paths, ports and processes into an attack."""
        known = {
            "FILE": repr(str(self.file)),
            "SECRET": repr(self.secret),
            "HOME_FILE": repr(str(self.home_file)),
            "PROJECT": repr(str(Path(__file__).resolve())),
            "PID": str(self.process.pid),
            "TCP": str(self.server.getsockname()[1]),
            "UDP": str(self.datagrams.getsockname()[1]),
            "UNIX": repr(self.unix.getsockname()),
            "ABSTRACT": repr(self.abstract.getsockname().decode()),
        }
        for name, text in known.items():
            source = source.replace(f"<{name}>", text)
        return source

    def assert_unharmed(self) -> None:
        """Nobody came, nobody died, nothing changed."""
        assert self.visits == []
        assert self.process.poll() is None
        assert self.file.read_text() == self.home_file.read_text() == self.secret
        assert sorted(path.name for path in self.folder.iterdir()) == ["canary", "unix"]


def _listen(visits: list[str], name: str, one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            if one.type == socket.SOCK_DGRAM:
                one.recv(10)
            else:
                one.accept()[0].close()
            visits.append(name)


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """Canaries: a file that all may read, one at home, a process, and servers that count who comes."""
    secret = f"canary {uuid.uuid4()}"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="canary-", dir="/tmp")))
        folder.chmod(0o777)
        at_home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".canary-", dir=Path.home()))) / "canary"
        for path in (folder / "canary", at_home):
            path.write_text(secret)
            path.chmod(0o666)
        unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        unix.bind(str(folder / "unix"))
        abstract.bind(f"\0{uuid.uuid4()}")
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        server = socket.create_server(("127.0.0.1", 0))
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        made = Host(folder, secret, process, server, datagrams, unix, abstract, at_home)
        threads = []
        for name, one in (("tcp", server), ("udp", datagrams), ("unix", unix), ("abstract", abstract)):
            if one is not datagrams:
                one.listen()
            threads.append(threading.Thread(target=_listen, args=(made.visits, name, one), daemon=True))
            threads[-1].start()
        yield made
        process.communicate(b"\n")
        for one in (server, datagrams, unix, abstract):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in threads:
            thread.join(5)


@pytest.fixture
def attack(box, host):
    """Run hostile code before a wrong solution; afterwards the host is unharmed and the next program runs well."""

    def run(source: str, tests: str = TESTS, solution: str = WRONG, **limits) -> str:
        program = Program(host.fill(source) + solution, tests, entry_point="answer")
        outcome: Outcome = box.run(program, LIMITS.model_copy(update=limits))
        assert not outcome.passed
        return outcome.reason

    yield run
    host.assert_unharmed()
    good = Program("import os\nassert os.listdir('/tmp') == []\ndef answer(n): return 7 * n\n", TESTS)
    assert box.run(good, LIMITS).reason == "passed"
