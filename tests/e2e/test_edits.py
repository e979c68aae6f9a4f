"""The edit table, really run: after each edit exactly the expected artifacts are made, and no other is touched."""

from pathlib import Path

import pytest
from checkouts import list_made, list_wanted
from edits import REMAKING, REMAKING_NOTHING, Edit, discard_stage
from runs import is_finished, run, run_all


def read_moments(root: Path) -> dict[str, int]:
    """When each manifest was written."""
    return {str(path): path.stat().st_mtime_ns for path in root.glob("artifacts/*/*/manifest.json")}


QUICK = ("one category weight of one mixture", "a judge prompt", "variant renamed", "a licence reworded")
"""Run each time; `make test-all` runs all of them, and tests/workflow plans all of them."""


def list_run() -> list[object]:
    """Edits that are really run; most of them long."""
    run = [edit for edit in REMAKING if not edit.only_planned]
    assert set(QUICK) <= {edit.name for edit in run}
    marks = {edit.name: () if edit.name in QUICK else pytest.mark.long for edit in run}
    return [pytest.param(edit, id=edit.name, marks=marks[edit.name]) for edit in run]


@pytest.mark.parametrize("edit", list_run())
def test_an_edit_remakes_its_descendants_and_nothing_else(study: Path, edit: Edit) -> None:
    edit.apply(study)
    before, moments = list_made(study), read_moments(study)
    wanted = list_wanted(study)
    run_all(study)
    made = list_made(study) - before
    assert made == set(wanted)
    assert edit.differences({name: wanted[name] for name in made}) == []
    assert {path: moment for path, moment in read_moments(study).items() if path in moments} == moments
    assert is_finished(study)


@pytest.mark.parametrize("edit", REMAKING_NOTHING, ids=lambda edit: edit.name)
def test_what_decides_nothing_remakes_nothing(study: Path, edit: Edit) -> None:
    edit.apply(study)
    assert is_finished(study)


def test_an_edit_undone_runs_nothing_although_the_edit_was_run(study: Path) -> None:
    path = study / "studies/micro.yaml"
    before = path.read_text()
    path.write_text(before.replace("name: more math data, more math", "name: more"))
    run_all(study)
    path.write_text(before)
    assert is_finished(study)


def test_a_middle_that_was_deleted_is_made_again_only_when_something_below_it_is_unfinished(study: Path) -> None:
    for folder in (study / "artifacts/average").iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert is_finished(study)
    path = study / "studies/micro.yaml"
    path.write_text(path.read_text().replace("sft_seed: [1, 2]", "sft_seed: [1, 2, 3]"))
    stages = [stage for stage, _ in list_wanted(study)]
    assert stages.count("average") == 2
    assert "ipt" not in stages


def test_discarded_data_comes_back_when_something_below_it_must_be_made_again(study: Path) -> None:
    for stage in ("ipt", "mixture"):
        discard_stage(stage)(study)
    path = study / "studies/micro.yaml"
    path.write_text(path.read_text().replace("average: {last: 4}", "average: {last: 3}"))
    code, output = run(study, "stage_average")
    assert code == 0, output
    made = list_made(study)
    assert len([key for stage, key in made if stage == "ipt"]) == 2
    assert len([key for stage, key in made if stage == "average"]) == 4
