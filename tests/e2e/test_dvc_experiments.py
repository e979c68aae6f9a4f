"""docs/dvc.md: a ratio tried as an experiment, compared and applied, with a study that is really run."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from checkouts import list_made, list_wanted
from dvc_checkouts import commit, make_repository, mixlab, run, snakemake
from edits_expected import OF_ONE_RATIO

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/house"))
from docs_blocks import read_commands  # noqa: E402

STUDY = "studies/micro.yaml"
LONG = 1200
"""Seconds that an experiment may take on a busy machine."""


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """The finished micro study under git and DVC, all tracked and committed."""
    root = make_repository(tmp_path)
    for folder in ("artifacts", "provenance"):
        shutil.copytree(finished / folder, root / folder)
    mixlab(root, "track")
    run(root, "dvc", "repro")
    commit(root, "finished")
    return root


def count(names: set[tuple[str, str]]) -> dict[str, int]:
    stages = [stage for stage, _ in names]
    return {stage: stages.count(stage) for stage in stages}


def read_experiments(root: Path) -> dict[str, dict[str, Any]]:
    """Name -> what `dvc exp show` knows of each experiment, and of the commit that they start from."""
    _, baseline = json.loads(run(root, "dvc", "exp", "show", "--json"))
    found = {one["name"]: one["data"] for row in baseline["experiments"] for one in row["revs"]}
    return {"main": baseline["data"], **found}


@pytest.mark.long
@pytest.mark.timeout(2 * LONG)
def test_the_commands_of_the_document_try_a_ratio_and_compare_it(root: Path) -> None:
    begin, *others = (one.text for one in read_commands(REPOSITORY / "docs/dvc.md"))
    before = list_made(root)
    # in a copy: the working folder stays as it is, the experiment has its pointers, the cache their data
    run(root, "bash", "-c", f"{begin} --temp", seconds=LONG)
    assert run(root, "git", "status", "--short") == ""
    assert list_made(root) == before
    shown = read_experiments(root)
    weights = {
        name: one["params"][STUDY]["data"]["variants"]["even"]["category"]["weights"] for name, one in shown.items()
    }
    assert {name: weight["math"] for name, weight in weights.items()} == {"main": 1, "more-math": 2}
    for one in shown.values():
        assert set(one["metrics"]["results/micro/metrics.json"]["data"]["scores"]) == {"even", "math heavy 数学"}
    said = {command.split(" --")[0]: run(root, "bash", "-c", command) for command in others}
    assert re.search(r"variants\.even\.category\.weights\.math +1 +2 +1", said["dvc exp diff main more-math"])
    assert "plans/" not in said["dvc exp show"]
    assert "more-math" in said["dvc exp show"]
    page = (root / "dvc_plots/index.html").read_text()
    assert page.count('"rev": "more-math"') >= 4
    assert "se_seeds" in page
    # applied: what the copy made is here, tracked, and finished
    made = list_made(root) - before
    assert count(made) == OF_ONE_RATIO
    assert list_wanted(root) == {}
    assert "Nothing to be done" in snakemake(root, "--dry-run", "all")
    assert "up to date" in run(root, "dvc", "status")
    untold = run(root, "git", "status", "--short", "--untracked-files=all", "--", "provenance", "tracked").splitlines()
    assert {(Path(line).parts[1], Path(line).stem) for line in untold if "tracked/" in line} == made
    assert {Path(line.split()[-1]).parts[1:3] for line in untold if "provenance/" in line} == made


@pytest.mark.long
@pytest.mark.timeout(2 * LONG)
def test_experiments_from_the_queue_and_in_the_working_folder_leave_what_they_made(root: Path) -> None:
    titles = {"queued": "Tiny study", "here": "Study here"}
    begin = ("dvc", "exp", "run", "--name")
    run(root, *begin, "queued", "--queue", "--set-param", f"{STUDY}:title={titles['queued']}")
    run(root, "dvc", "exp", "run", "--run-all", seconds=LONG)
    assert run(root, "git", "status", "--short") == ""
    before = list_made(root)
    run(root, *begin, "here", "--set-param", f"{STUDY}:title={titles['here']}", seconds=LONG)
    ((stage, key),) = list_made(root) - before
    assert stage == "report"
    assert (root / f"tracked/report/{key}.dvc").is_file()
    shown = read_experiments(root)
    assert {name: shown[name]["params"][STUDY]["data"]["title"] for name in titles} == titles
    refs = run(root, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    for name in titles:
        (ref,) = [one for one in refs if one.endswith(f"/{name}")]
        new = run(root, "git", "diff", "--name-only", "--diff-filter=A", "main", ref).splitlines()
        assert sorted(Path(path).parts[:2] for path in new) == [("provenance", "report"), ("tracked", "report")]
