"""What was made of other bytes may be other bytes, whatever its stage promises: that is no promise broken."""

import json
import shutil
from pathlib import Path

from dvc_checkouts import commit, mixlab
from shelves import switch, write_record

from mixlab.artifacts.store import Store

RUN, MEAN = "00000000000000aa", "00000000000000bb"


def make(root: Path, stage: str, key: str, payload: str, *parents: str) -> None:
    """Make a whole artifact with parents and provenance."""
    store = Store(root)
    with store.writing(stage, key) as draft:
        assert draft is not None
        (draft.out / "payload.txt").write_text(payload)
        references = {"snapshots": [f"{parent}:last-00" for parent in parents]}
        draft.publish({}, references, lambda manifest: write_record(store, manifest, payload, ""))


def make_side(root: Path, branch: str, run: str, mean: str) -> str:
    """Track a run and the mean of it on a branch of their own; return what tracking the mean says."""
    switch(root, "main")
    shutil.rmtree(root / "artifacts", ignore_errors=True)
    switch(root, branch, new=True)
    make(root, "ipt", RUN, run)
    make(root, "average", MEAN, mean, RUN)
    mixlab(root, "track", RUN)
    said = mixlab(root, "track", MEAN, "--json", code=int(run != mean and branch != "left"))
    commit(root, branch)
    return said


def test_the_mean_of_a_run_that_was_trained_twice_follows_from_it(shelf: Path) -> None:
    make_side(shelf, "left", "gpu-left", "gpu-left")
    (clash,) = json.loads(make_side(shelf, "right", "gpu-right", "gpu-right"))["clashes"]
    assert clash["verdict"] == "follows from its parents"
    for branch in ("left", "right"):
        switch(shelf, branch)
        mixlab(shelf, "forget", RUN)
        commit(shelf, "no pointer to the run any more: provenance knows of both")
    mixlab(shelf, "forget", MEAN)
    (clash,) = json.loads(mixlab(shelf, "track", MEAN, "--json"))["clashes"]
    assert clash["verdict"] == "follows from its parents"


def test_means_that_differ_of_one_run_break_a_promise(shelf: Path) -> None:
    make_side(shelf, "left", "gpu", "left")
    (clash,) = json.loads(make_side(shelf, "right", "gpu", "right"))["clashes"]
    assert clash["verdict"] == "broken promise"
