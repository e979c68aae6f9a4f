"""The first rows of the edit table by `dvc repro`, and a colleague's clone, with a study that was really run."""

import shutil
from pathlib import Path

from checkouts import list_made, list_wanted
from dvc_checkouts import clone, commit, make_repository, mixlab, run, snakemake
from edits import REMAKING


def test_dvc_repro_makes_an_edits_descendants_and_a_clone_pulls_the_rest(finished: Path, tmp_path: Path) -> None:
    edit = REMAKING[0]
    root = make_repository(tmp_path)
    shutil.copytree(finished / "artifacts", root / "artifacts")
    mixlab(root, "track")
    commit(root, "finished")
    run(root, "dvc", "repro")
    before = list_made(root)

    text = (root / "studies/micro.yaml").read_text()
    edit.apply(root)
    wanted = list_wanted(root)
    run(root, "dvc", "repro")
    made = list_made(root) - before
    assert made == set(wanted)
    assert edit.differences({name: wanted[name] for name in made}) == []

    (root / "studies/micro.yaml").write_text(text)
    run(root, "dvc", "repro")
    assert list_made(root) - before == made
    commit(root, "edited and undone")
    run(root, "dvc", "push")

    other = clone(root, tmp_path / "second 写し")
    shutil.rmtree(other / "tests")
    run(other, "dvc", "pull")
    assert "Nothing to be done" in snakemake(other, "--dry-run", "all")
    assert "up to date" in run(other, "dvc", "status")
    assert list_made(other) == list_made(root)
