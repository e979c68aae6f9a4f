"""Many processes track and restore at once in one folder, and some are killed: nothing is lost, nothing is half."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import zc.lockfile
from checkouts import REPOSITORY, environment
from dvc_checkouts import clone, commit, mixlab, run
from shelves import make_one

from mixlab.artifacts import exclusion
from mixlab.artifacts.manifest import check_files, read_manifest
from mixlab.artifacts.pointers import list_pointers, read_pointer, render_pointer
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.store import Store

CROWD = Path(__file__).with_name("crowd.py")
STAGE = "score"


def name_keys(kind: int, count: int) -> list[str]:
    """Name `count` keys of a kind; the kinds' keys differ."""
    return [f"{kind:04x}{number:012x}" for number in range(count)]


def start(root: Path, command: str, keys: Sequence[str]) -> subprocess.Popen[str]:
    """Start a process of the crowd and wait until it is about to begin."""
    arguments = [sys.executable, str(CROWD), command, "5", *keys]
    with (root.parent / "crowd.log").open("a") as log:
        process = subprocess.Popen(
            arguments, cwd=root, env=environment(REPOSITORY), stdout=subprocess.PIPE, stderr=log, text=True
        )
    process.args = [command, *keys]
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", (root.parent / "crowd.log").read_text()
    return process


def let_crowd_work(work: Sequence[tuple[Path, str, Sequence[str]]], kills: int, seed: int) -> int:
    """Run all pieces of work at once; kill a process `kills` times at random moments and start it again."""
    chance = random.Random(seed)
    alive = [start(*piece) for piece in work]
    places = [root for root, _, _ in work]
    killed = 0
    while killed < kills and any(process.poll() is None for process in alive):
        victim = chance.choice([process for process in alive if process.poll() is None])
        try:
            victim.communicate(timeout=chance.uniform(0.02, 0.5))
        except subprocess.TimeoutExpired:
            victim.kill()
            victim.communicate()
            killed += 1
            number = alive.index(victim)
            alive[number] = start(places[number], victim.args[0], victim.args[1:])
    for root, process in zip(places, alive, strict=True):
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said + (root.parent / "crowd.log").read_text()
    return killed


def check_crowd(root: Path, count: int, processes: int, kills: int, seed: int, clones: int = 0) -> None:
    """Half of the artifacts are to be tracked and uploaded, half to be restored or fetched, each by several processes.

    Each of `clones` made the same and uploads it to the same remote at the same time.
    """
    tracked, restored = name_keys(1, count // 2), name_keys(2, count // 2)
    for key in (*tracked, *restored):
        make_one(root, STAGE, key, f"{key}\n" * 50)
    mixlab(root, "track", *restored, "--push")
    commit(root, "there before")
    for key in restored:
        shutil.rmtree(root / "artifacts" / STAGE / key)
    shutil.rmtree(root / ".dvc/cache")
    chance = random.Random(seed)
    work = []
    for number in range(processes):
        command, keys = (("restore", restored), ("track", tracked), ("fetch", restored))[number % 3]
        work.append((root, command, chance.sample(keys, len(keys))))
    for number in range(clones):
        other = clone(root, root.parent / f"clone {number}")
        for key in tracked:
            make_one(other, STAGE, key, f"{key}\n" * 50)
        work.append((other, "track", chance.sample(tracked, len(tracked))))
    killed = let_crowd_work(work, kills, seed)
    assert killed >= max(1, kills // 2), "nearly all were done before anybody was killed"
    check_whole(root, [*tracked, *restored])


def check_whole(root: Path, keys: Sequence[str]) -> None:
    """Every pointer is valid, every artifact whole, every byte on the remote, and DVC's locks are free."""
    store = Store(root)
    names = sorted((STAGE, key) for key in keys)
    assert list_pointers(store) == names
    pointers = [read_pointer(store, name) for name in names]
    assert [store.pointer(*one.name).read_text() for one in pointers] == [render_pointer(one) for one in pointers]
    folders = [store.folder(*name) for name in names]
    assert [line for folder in folders for line in check_files(folder, read_manifest(folder))] == []
    with open_depot(store) as depot:
        assert depot.list_missing(pointers, cached=False) == []
        assert [oid for one in pointers for oid in depot.list_damaged(one)] == []
    assert [path for path in store.work.glob("*/*") if path.is_dir() and (path / "out").exists()] == []
    assert "up to date" in run(root, "dvc", "status")


@pytest.mark.parametrize("left_behind", [False, True])
def test_who_waits_for_the_lock_of_dvc_says_so(shelf: Path, monkeypatch: pytest.MonkeyPatch, left_behind: bool) -> None:
    lock, claim = shelf / ".dvc/tmp/lock", shelf / ".dvc/tmp/claim.lock"
    lock.parent.mkdir()
    if left_behind:
        (shelf / ".dvc/config.local").write_text("[core]\n    hardlink_lock = true\n")
        claim.write_text(str(claim))
        os.link(claim, lock)
        os.utime(lock, (2**32, 2**32))  # DVC's expires in a year
        free = lock.unlink
    else:
        free = zc.lockfile.LockFile(str(lock)).close
    said: list[str] = []
    monkeypatch.setattr(exclusion, "SILENT_SECONDS", 0.01)
    monkeypatch.setattr(exclusion.log, "warning", lambda text: (said.append(text), free()))
    (key,) = name_keys(1, 1)
    make_one(shelf, STAGE, key, "payload\n")
    mixlab(shelf, "track", key)
    assert len(said) == 1
    assert f"waiting for DVC's lock {lock}" in said[0]
    assert (f"`rm '{lock}'`" in said[0]) is left_behind
    assert list_pointers(Store(shelf)) == [(STAGE, key)]


def test_a_few_processes_and_a_kill_lose_nothing(shelf: Path) -> None:
    check_crowd(shelf, count=12, processes=3, kills=1, seed=3)


@pytest.mark.long
def test_eight_processes_and_many_kills_lose_nothing_of_200_artifacts(shelf: Path) -> None:
    check_crowd(shelf, count=200, processes=7, kills=12, seed=1, clones=2)
