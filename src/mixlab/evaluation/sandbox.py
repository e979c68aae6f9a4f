"""Runs Python programs nobody has read: no network, no files of ours, no environment, and limits on everything else.

With bubblewrap a worker sees the Python installation read-only, an empty /tmp and nothing else, and programs run under
a system call filter; inside, `warden.py` gives each program namespaces of its own and a checker that its code cannot
reach. One start serves many programs; each then costs about two starts of a bare Python (performance/sandbox.py).
Without bubblewrap programs still run under limits, and as another user where we are root, but they see the machine's
files; that is said in a warning and in `Sandbox.label`, which goes to the provenance of scores and so to reports.

What is promised, what is not, and how the verdict is kept from forgery: docs/sandbox.md.
"""

import base64
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from mixlab.artifacts.code import note_file
from mixlab.config.machine import SandboxRequirement
from mixlab.config.problems import UserError
from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation.checker import NO_ANSWER, PASSED
from mixlab.evaluation.helper import Helper
from mixlab.evaluation.system_calls import FilterError, build_filter

LABEL_BUBBLEWRAP = "bubblewrap with seccomp"
LABEL_WEAKER = "WEAKER: bubblewrap without a system call filter, libseccomp is not usable on this machine"
LABEL_FALLBACK = "UNPROTECTED: subprocess with limits only, bubblewrap is not usable on this machine"

_ROOT = Path(__file__).parents[2]
_INSIDE = tuple(f"mixlab/evaluation/{name}.py" for name in ("warden", "checker", "answerer", "exchange"))
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from mixlab.evaluation.warden import serve; "
_START += "del sys.path[0]; serve()"
# users that no account has (systemd's range for passing services), also mapped in a rootless container; a program has
# an even one and its checker the next
_FIRST_UID, _UIDS = 61_200, 4_000
_PATIENCE_SECONDS = 10.0
_LONGEST_TRIAL_SECONDS = 60.0
_SLOW = frozenset({"limit wall_seconds", "limit cpu_seconds"})
"""How a trial ends on a machine that is too slow for it, whatever protects it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """Code nobody has read, and the tests that decide whether it passes; without tests it passes by running to its end.

    `tests` run in another process than `source`: its names are answered from there, but those that `given` (trusted
    code, such as the item's prompt) defines; `entry_point` is always the source's. The end of a program without tests
    is its own word.
    """

    source: str
    tests: str = ""
    given: str = ""
    entry_point: str = ""


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
    command += ["--perms", "0755", "--dir", "/inside"]
    for folder in sorted({str(parent) for name in _INSIDE for parent in Path(name).parents if parent.name}):
        command += ["--perms", "0755", "--dir", f"/inside/{folder}"]
    for name in _INSIDE:
        command += ["--ro-bind", str(_ROOT / name), f"/inside/{name}"]
    command += ["--dir", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    command += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/"]
    return [*command, *_python_command("/inside")]


def _python_command(root: str) -> list[str]:
    return [str(_interpreter()), "-I", "-S", "-c", _START, root]


def _is_only_roots() -> bool:
    """Whether we are root and no other user could run this Python."""
    private = [folder for folder in _interpreter().parents if folder.stat().st_mode & 0o005 != 0o005]
    return os.geteuid() == 0 and bool(private)


def _check_strength(protection: "_Protection", require: SandboxRequirement) -> None:
    """Warn of a protection that is not the strongest; raise UserError where it must not be used."""
    why = "; ".join(protection.obstacles)
    if require == "strong":
        raise UserError(
            f"machine.sandbox_require is strong, but here models' code would run under '{protection.label}' ({why}): "
            "install bubblewrap and libseccomp (apt install bubblewrap libseccomp2) and let users make namespaces "
            "(docs/sandbox.md), score on another machine, or set machine.sandbox_require: any"
        )
    if protection.label == LABEL_FALLBACK and _is_only_roots():
        raise UserError(
            "bubblewrap is not usable and only root can read this Python, so models' code would run as root: "
            "install bubblewrap (apt install bubblewrap) or use another user"
        )
    log.warning("%s: models' code runs all the same, see docs/sandbox.md (%s)", protection.label, why)


class _Warden:
    """One running warden; started again when it stops answering or may not serve a second program."""

    def __init__(self, command: Sequence[str], instructions: bytes, *, alone: bool, uid: int) -> None:
        self._helper = Helper((*command, base64.b64encode(instructions).decode()))
        self._alone = alone
        self._uid = uid

    def stop(self) -> None:
        """End the warden and all it started."""
        self._helper.stop()

    def run(self, program: Program, limits: SandboxLimits) -> str:
        """Run one program; returns how it ended."""
        content = json.dumps(asdict(program)).encode()
        order = {"limits": limits.model_dump(), "uid": self._uid, "alone": self._alone, "size": len(content)}
        data = json.dumps(order).encode() + b"\n" + content
        line = self._helper.ask(data, limits.wall_seconds + _PATIENCE_SECONDS)
        if not line:
            self.stop()
            return "limit wall_seconds" if line is None else NO_ANSWER
        result = json.loads(line)
        if not (self._alone and result["isolated"]):
            self.stop()
        return str(result["word"])

    def explain(self) -> str:
        """Return what the command itself says of why it does not work here."""
        try:
            ended = subprocess.run(
                self._helper.command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env={},
                cwd="/",
                timeout=_LONGEST_TRIAL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"it did not end within {_LONGEST_TRIAL_SECONDS:g} s"
        return ended.stderr.decode(errors="replace").strip()[-300:] or f"it ended with status {ended.returncode}"


@dataclass(frozen=True)
class _Protection:
    """What keeps programs apart on this machine, and what stands against more of it."""

    label: str
    command: tuple[str, ...]
    instructions: bytes
    obstacles: tuple[str, ...]

    def make(self, uid: int) -> _Warden:
        return _Warden(self.command, self.instructions, alone=self.label != LABEL_FALLBACK, uid=uid)


def _find_protection(uid: int, *, allow_bubblewrap: bool = True) -> tuple[_Protection, _Warden]:
    """Return the strongest protection that works here, and the first warden of it: it has run a program as a trial.

    Raises UserError where the trial runs out of time: a slow machine is no reason for less protection.
    """
    obstacles, instructions = [], b""
    try:
        instructions = build_filter()
    except FilterError as error:
        obstacles.append(str(error))
    bubblewrap = shutil.which("bwrap") if allow_bubblewrap else None
    boxed = tuple(_bubblewrap_command(bubblewrap)) if bubblewrap else ()
    if not boxed:
        obstacles.append("bubblewrap is not installed: install it (apt install bubblewrap)")
    bare = tuple(_python_command(str(_ROOT)))
    levels = (
        (LABEL_BUBBLEWRAP, boxed, instructions),
        (LABEL_WEAKER, boxed, b""),
        (LABEL_FALLBACK, bare, instructions),
    )
    for label, command, loaded in levels:
        if command and (loaded or label != LABEL_BUBBLEWRAP) and not (label == LABEL_FALLBACK and _is_only_roots()):
            found = _Protection(label, command, loaded, tuple(obstacles))
            first = found.make(uid)
            if (word := _try_out(first)) == PASSED:
                return found, first
            first.stop()
            if word in _SLOW:
                raise UserError(
                    f"the sandbox ({label}) did not run a trial program within {_LONGEST_TRIAL_SECONDS:g} s ({word}): "
                    "the machine is overloaded; score when it is less busy, or lower machine.sandbox_workers"
                )
            obstacles.append(f"{label}: {word}; {first.explain()}")
    bared = _Protection(LABEL_FALLBACK, bare, b"", tuple(obstacles))
    return bared, bared.make(uid)


def _try_out(warden: _Warden) -> str:
    """Run a trial program, where it fails once more with more time; returns how it ended."""
    trial = Program("import math")
    if (word := warden.run(trial, SandboxLimits())) == PASSED:
        return word
    seconds = _LONGEST_TRIAL_SECONDS
    return warden.run(trial, SandboxLimits(wall_seconds=seconds, cpu_seconds=int(seconds)))


class Sandbox:
    """A pool of `workers` sandboxes; a context manager.

    `label` says what protects the machine and belongs into every result. Raises UserError where `require` is strong and
    the label would be another than bubblewrap with seccomp, and where models' code would run as root.
    """

    def __init__(self, workers: int = 1, *, require: SandboxRequirement = "any", allow_bubblewrap: bool = True) -> None:
        self._workers = max(1, workers)
        for name in _INSIDE:
            note_file(_ROOT / name)
        uids = secrets.SystemRandom().sample(range(_FIRST_UID, _FIRST_UID + _UIDS, 2), self._workers)
        protection, first = _find_protection(uids[0], allow_bubblewrap=allow_bubblewrap)
        self.label = protection.label
        if self.label != LABEL_BUBBLEWRAP:
            try:
                _check_strength(protection, require)
            except UserError:
                first.stop()
                raise
        self._wardens = [first, *(protection.make(uid) for uid in uids[1:])]
        self._idle: SimpleQueue[_Warden] = SimpleQueue()
        for warden in self._wardens:
            self._idle.put(warden)

    @property
    def is_protected(self) -> bool:
        """Whether programs cannot reach the machine's files and network."""
        return self.label != LABEL_FALLBACK

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

    def run(self, program: Program | str, limits: SandboxLimits) -> Outcome:
        """Run one program, text being one without tests; safe to call from many threads, `workers` run at a time.

        Raises RuntimeError when the sandbox itself fails: that is no program's fault and no score.
        """
        whole = Program(program) if isinstance(program, str) else program
        with self._borrowed() as warden:
            word = warden.run(whole, limits)
            if word.startswith(NO_ANSWER):
                word = warden.run(whole, limits)
        if word.startswith(NO_ANSWER):
            raise RuntimeError(f"{word}, twice: is the machine out of memory or processes?")
        return Outcome(passed=word == PASSED, reason=word)

    def run_all(self, programs: Sequence[Program | str], limits: SandboxLimits) -> list[Outcome]:
        """Run programs side by side; equal ones are run once. Outcomes are in the order of `programs`."""
        different = list(dict.fromkeys(programs))
        with ThreadPoolExecutor(self._workers) as pool:
            outcomes = dict(zip(different, pool.map(lambda one: self.run(one, limits), different), strict=True))
        return [outcomes[one] for one in programs]
