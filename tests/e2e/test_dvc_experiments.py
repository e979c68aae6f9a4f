"""`dvc exp`, `dvc metrics` and `dvc plots` on a study that was really run: here, in a temporary copy, from the queue."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from checkouts import list_made, list_wanted
from dvc_checkouts import commit, make_repository, mixlab, run, snakemake

STUDY, RATIO = "studies/micro.yaml", "variants.even.category.weights.math"


def experiment(root: Path, name: str, weight: int, *options: str) -> str:
    return run(root, "dvc", "exp", "run", "--name", name, "--set-param", f"{STUDY}:{RATIO}={weight}", *options)


def read_experiments(root: Path) -> dict[str, dict[str, Any]]:
    """Name -> params and metrics of what `dvc exp show` lists."""
    shown = json.loads(run(root, "dvc", "exp", "show", "--json"))
    revisions = [shown[0], shown[1], *(one for row in shown[1]["experiments"] or [] for one in row["revs"])]
    return {one["name"] or one["rev"]: one["data"] for one in revisions}


@pytest.mark.long
def test_experiments_make_what_their_ratio_changes_and_can_be_compared_and_applied(
    finished: Path, tmp_path: Path
) -> None:
    root = make_repository(tmp_path)
    shutil.copytree(finished / "artifacts", root / "artifacts")
    mixlab(root, "track")
    run(root, "dvc", "repro")
    commit(root, "finished")
    before, study = list_made(root), (root / STUDY).read_text()

    # in a temporary copy: the working folder stays as it is, the experiment has its pointers, the cache its data
    experiment(root, "aside", 2, "--temp")
    assert run(root, "git", "status", "--short") == ""
    assert list_made(root) == before
    names = run(root, "git", "diff", "--name-only", "HEAD", "aside", "--", "tracked", "provenance").splitlines()
    new = {(name.split("/")[1], Path(name).stem) for name in names if name.startswith("tracked/")}
    assert {stage for stage, _ in new} == {
        "mixture", "ipt", "average", "sft", "generate", "score", "judge", "scores", "aggregate", "report",
    }  # fmt: skip
    assert {Path(name).parts[1:3] for name in names if name.startswith("provenance/")} == new

    # from the queue
    experiment(root, "queued", 3, "--queue")
    run(root, "dvc", "exp", "run", "--run-all")

    # here: what is made stays, and the edit with it
    experiment(root, "here", 4)
    assert "math: 4" in (root / STUDY).read_text()
    made = list_made(root) - before
    assert {stage for stage, _ in made} == {stage for stage, _ in new}
    assert list_wanted(root) == {}

    shown = read_experiments(root)
    assert {"aside", "queued", "here"} <= set(shown)
    weights = {
        name: shown[name]["params"][STUDY]["data"]["variants"]["even"]["category"]["weights"]["math"]
        for name in ("main", "aside", "queued", "here")
    }
    assert weights == {"main": 1, "aside": 2, "queued": 3, "here": 4}
    metrics = shown["aside"]["metrics"]["results/micro/metrics.json"]["data"]
    assert set(metrics["scores"]) == {"even", "math heavy 数学"}

    # back to the beginning, then the experiment of the copy: nothing is computed, all is fetched from the cache
    run(root, "git", "checkout", "--quiet", "--", ".")
    assert (root / STUDY).read_text() == study
    assert "Nothing to be done" in snakemake(root, "--dry-run", "all")
    run(root, "git", "stash", "--include-untracked", "--quiet")
    run(root, "dvc", "exp", "apply", "aside")
    assert new == set(list_wanted(root)) - {None} or list_wanted(root) == {}
    mixlab(root, "restore", "micro")
    assert new <= list_made(root)
    assert "up to date" in run(root, "dvc", "status")
