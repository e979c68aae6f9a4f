"""Runs Python programs nobody has read: no network, no files of ours, no environment, and limits on everything else.

With bubblewrap a worker sees the Python installation read-only, an empty /tmp and nothing else; inside, `warden.py`
gives each program namespaces of its own, so one start (about 25 ms) serves many programs (about 5 ms each). Without
bubblewrap programs still run under limits, and as another user where we are root, but they see the machine's files;
that is said in a warning and in `Sandbox.label`, which goes to the provenance of scores and from there to reports.

What is not promised: programs that start processes get `memory_bytes` each, not together, and the kernel itself is
trusted.
"""

import json
import logging
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from mixlab.config.problems import UserError
from mixlab.config.scorers import SandboxLimits

LABEL_BUBBLEWRAP = "bubblewrap"
LABEL_FALLBACK = "UNPROTECTED: subprocess with limits only, bubblewrap is not usable on this machine"
NOT_STARTED = "sandbox did not answer"

_WARDEN = Path(__file__).parent / "warden.py"
# users that no account has (systemd's range for passing services), also mapped in a rootless container
_FIRST_UID, _UIDS = 61_200, 4_000
_PATIENCE_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How one program ended: `passed`, or why not (`raised AssertionError`, `limit cpu_seconds`, ...)."""

    passed: bool
    reason: str


def _readable_folders() -> list[str]:
    """Return the folders a Python program needs: interpreter, standard library, shared libraries."""
    paths = sysconfig.get_paths()
    base = Path(sys.base_prefix)
    folders = {Path("/lib"), Path("/lib64"), Path("/usr/lib"), Path("/usr/lib64")}
    if base.is_relative_to("/usr"):
        folders |= {Path(paths["stdlib"]), Path(paths["platstdlib"]), _interpreter()}
    else:
        folders.add(base)
    return sorted(str(folder) for folder in folders if folder.exists())


def _interpreter() -> Path:
    return Path(os.path.realpath(sys.executable))


def _bubblewrap_command(bubblewrap: str) -> list[str]:
    command = [bubblewrap, "--die-with-parent", "--new-session", "--clearenv"]
    if os.geteuid() == 0:
        command += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        for capability in ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
            command += ["--cap-add", capability]
    else:
        command += ["--unshare-all", "--uid", "65534", "--gid", "65534"]
    folders = _readable_folders()
    for parent in sorted({parent for folder in folders for parent in Path(folder).parents} - {Path("/")}):
        command += ["--perms", "0755", "--dir", str(parent)]
    for folder in folders:
        command += ["--ro-bind", folder, folder]
    command += ["--ro-bind", str(_WARDEN), "/warden.py", "--dir", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    command += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/"]
    return [*command, str(_interpreter()), "-I", "-S", "/warden.py"]


def _check_fallback() -> None:
    """Raise UserError where code tested without bubblewrap would have to run as root."""
    private = [folder for folder in _interpreter().parents if folder.stat().st_mode & 0o005 != 0o005]
    if os.geteuid() == 0 and private:
        raise UserError(
            "bubblewrap is not usable and only root can read this Python, so models' code would run as root: "
            "install bubblewrap (apt install bubblewrap) or use another user"
        )


class _Warden:
    """One running warden; started again when it stops answering or may not serve a second program."""

    def __init__(self, command: Sequence[str], *, always_anew: bool) -> None:
        self._command = tuple(command)
        self._uid = _FIRST_UID + secrets.randbelow(_UIDS)
        self._always_anew = always_anew
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        return self._process

    def stop(self) -> None:
        """End the warden and all it started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def run(self, source: str, limits: SandboxLimits) -> tuple[str, bool]:
        """Run one program; returns how it ended and whether it had namespaces of its own."""
        process = self._start()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the warden was started without pipes")
        order = {"source": source, "limits": limits.model_dump(), "uid": self._uid}
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            return NOT_STARTED, False
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            answered = selector.select(limits.wall_seconds + _PATIENCE_SECONDS)
        line = process.stdout.readline() if answered else b""
        if not line:
            self.stop()
            return (NOT_STARTED if answered else "limit wall_seconds"), False
        result = json.loads(line)
        if self._always_anew or not result["isolated"]:
            self.stop()
        return str(result["word"]), bool(result["isolated"])


class Sandbox:
    """A pool of `workers` sandboxes; a context manager.

    `label` says what protects the machine and belongs into every result.
    """

    def __init__(self, workers: int = 1, *, allow_bubblewrap: bool = True) -> None:
        self._workers = max(1, workers)
        bubblewrap = shutil.which("bwrap") if allow_bubblewrap else None
        command = _bubblewrap_command(bubblewrap) if bubblewrap else []
        first = _Warden(command, always_anew=False)
        self.label = LABEL_BUBBLEWRAP
        if not bubblewrap or first.run("import math", SandboxLimits())[0] != "passed":
            first.stop()
            _check_fallback()
            self.label = LABEL_FALLBACK
            log.warning("%s: install bubblewrap (apt install bubblewrap) before running models' code", self.label)
            command = [str(_interpreter()), "-I", "-S", str(_WARDEN)]
            first = _Warden(command, always_anew=True)
        others = range(1, self._workers)
        self._wardens = [first, *(_Warden(command, always_anew=not self.is_protected) for _ in others)]
        self._idle: SimpleQueue[_Warden] = SimpleQueue()
        for warden in self._wardens:
            self._idle.put(warden)

    @property
    def is_protected(self) -> bool:
        """Whether programs cannot reach the machine's files and network."""
        return self.label == LABEL_BUBBLEWRAP

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for warden in self._wardens:
            warden.stop()

    @contextmanager
    def _borrowed(self) -> Iterator[_Warden]:
        warden = self._idle.get()
        try:
            yield warden
        finally:
            self._idle.put(warden)

    def run(self, source: str, limits: SandboxLimits) -> Outcome:
        """Run one program; safe to call from many threads, `workers` of which run at a time.

        Raises RuntimeError when the sandbox itself fails: that is no program's fault and no score.
        """
        with self._borrowed() as warden:
            word, _ = warden.run(source, limits)
            if word.startswith(NOT_STARTED):
                word, _ = warden.run(source, limits)
        if word.startswith(NOT_STARTED):
            raise RuntimeError(f"{word}, twice: is the machine out of memory or processes?")
        return Outcome(passed=word == "passed", reason=word)

    def run_all(self, sources: Sequence[str], limits: SandboxLimits) -> list[Outcome]:
        """Run programs side by side; equal ones are run once. Outcomes are in the order of `sources`."""
        different = list(dict.fromkeys(sources))
        with ThreadPoolExecutor(self._workers) as pool:
            outcomes = dict(zip(different, pool.map(lambda source: self.run(source, limits), different), strict=True))
        return [outcomes[source] for source in sources]
