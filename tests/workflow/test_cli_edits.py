"""The edit table, asked of `mixlab plan`: a finished study, an edit, and exactly what would be made again."""

import random
import shutil
from pathlib import Path

import pytest
from checkouts import copy_checkout, list_wanted, pretend_finished, read_plan
from edits import REMAKING, REMAKING_NOTHING, Edit


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout whose micro study is finished, as far as a plan can tell."""
    root = copy_checkout(tmp_path_factory.mktemp("edits") / "finished")
    pretend_finished(root)
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A finished copy of one's own, to be edited."""
    return Path(shutil.copytree(finished, tmp_path / "checkout", symlinks=True))


def test_a_finished_study_wants_nothing(finished: Path) -> None:
    plan = read_plan(finished)
    assert plan["is_done"]
    assert plan["totals"]["complete"] == plan["totals"]["planned"] > 60


@pytest.mark.parametrize("edit", REMAKING + REMAKING_NOTHING, ids=lambda edit: edit.name)
def test_an_edit_makes_exactly_what_depends_on_it(root: Path, edit: Edit) -> None:
    edit.apply(root)
    assert edit.differences(list_wanted(root)) == []


def test_an_edit_undone_after_its_run_wants_nothing(root: Path) -> None:
    study = root / "studies/micro.yaml"
    before = study.read_text()
    REMAKING[0].apply(root)
    pretend_finished(root)
    assert read_plan(root)["is_done"]
    study.write_text(before)
    assert read_plan(root)["is_done"]


def test_moving_the_folder_makes_nothing(root: Path, tmp_path: Path) -> None:
    moved = root.rename(tmp_path / "移した フォルダ")
    assert read_plan(moved)["is_done"]


def test_a_deleted_artifact_is_made_again_when_something_below_it_is_missing(root: Path) -> None:
    shutil.rmtree(root / "artifacts/average")
    (report,) = (root / "artifacts/report").iterdir()
    shutil.rmtree(report)
    assert {stage for stage, _ in list_wanted(root)} == {"report"}
    one = sorted((root / "artifacts/sft").iterdir())[random.Random(0).randrange(4)]
    shutil.rmtree(root / "artifacts/aggregate")
    shutil.rmtree(root / "artifacts/scores")
    shutil.rmtree(root / "artifacts/generate")
    shutil.rmtree(root / "artifacts/score")
    shutil.rmtree(one)
    wanted = list_wanted(root)
    assert sum(stage == "average" for stage, _ in wanted) == 2
    assert [key for stage, key in wanted if stage == "sft"] == [one.name]
    assert not any(stage in ("ipt", "judge", "mixture") for stage, _ in wanted)
