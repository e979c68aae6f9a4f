"""The edit table as people read it: docs/edit-table.md is written from the rows that the tests run.

To bring the document up to date: `python tests/house/docs_tables.py --write`.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mixlab.plan.stages import STAGES

REPOSITORY = Path(__file__).resolve().parents[2]
REFRESH = "python tests/house/docs_tables.py --write"
EDIT_TABLE = REPOSITORY / "docs/edit-table.md"

sys.path.insert(0, str(REPOSITORY / "tests/workflow"))
from edits import REMAKING, REMAKING_NOTHING  # noqa: E402


@dataclass(frozen=True)
class Row:
    """An edit that a test of its own makes: what is made again, and the test, `file::name`."""

    edit: str
    made: str
    test: str


OTHERS = (
    Row("the folder moved", "nothing", "tests/workflow/test_cli_edits.py::test_moving_the_folder_makes_nothing"),
    Row(
        "one artifact in the middle deleted, not tracked, and something below it unfinished",
        "it, and what is unfinished below it",
        "tests/e2e/test_edits.py::"
        "test_a_middle_that_was_deleted_is_made_again_only_when_something_below_it_is_unfinished",
    ),
    Row(
        "an edit undone after it was run",
        "nothing",
        "tests/e2e/test_edits.py::test_an_edit_undone_runs_nothing_although_the_edit_was_run",
    ),
    Row(
        "a fresh clone, then `dvc pull`",
        "nothing",
        "tests/workflow/test_dvc_tracking.py::"
        "test_a_second_clone_pulls_everything_and_plain_pulls_on_branches_delete_nothing",
    ),
    Row(
        "a fresh clone without a pull",
        "nothing; only the report is fetched",
        "tests/workflow/test_dvc_tracking.py::test_without_a_pull_only_what_is_wanted_is_fetched",
    ),
    Row(
        "a switch to another branch and back, with a plain `dvc pull` in between",
        "nothing",
        "tests/workflow/test_dvc_tracking.py::test_tracking_on_a_branch_saves_artifacts_from_a_plain_pull_on_another",
    ),
    Row(
        "one category weight by `dvc repro`, then undone",
        "the descendants of the mixture, then nothing",
        "tests/e2e/test_dvc_repro.py::test_dvc_repro_makes_an_edits_descendants_and_a_clone_pulls_the_rest",
    ),
    Row(
        "comments and white space, by `dvc repro`",
        "nothing; its stage `plan` runs, in a fraction of a second",
        "tests/workflow/test_dvc_tracking.py::test_whitespace_runs_no_stage_but_plan",
    ),
)

_HEAD = f"""# The edit table

What is made again when something is edited after a study is finished, and nothing else. Each row is a test: planned in
`tests/workflow/test_cli_edits.py`, really run in `tests/e2e/test_edits.py`, both from `tests/workflow/edits.py`; a row
with * is planned alone, since another runs the same way down. The numbers are those of the micro study: 4 training
sources, one of them labelled and two tokenized in 2 shards each; 2 mixtures, 2 SFT seeds, so 6 models; 2 benchmarks,
one scored and one judged twice. This file is written by `{REFRESH}`.

| edit | made again |
| --- | --- |
"""

_MIDDLE = """
These are tested by themselves:

| edit | made again | test |
| --- | --- | --- |
"""


def render_counts(counts: Mapping[str, int]) -> str:
    """Render how many artifacts of each stage are made, in the order of the flow."""
    return ", ".join(f"{counts[stage]} {stage}" for stage in STAGES if stage in counts) or "nothing"


def render_edit_table() -> str:
    """Render docs/edit-table.md."""
    edits = "".join(
        f"| {edit.name}{' *' if edit.only_planned else ''} | {render_counts(edit.counts)} |\n"
        for edit in (*REMAKING, *REMAKING_NOTHING)
    )
    others = "".join(f"| {row.edit} | {row.made} | `{row.test.rpartition('::')[0]}` |\n" for row in OTHERS)
    return f"{_HEAD}{edits}{_MIDDLE}{others}"


if __name__ == "__main__" and "--write" in sys.argv[1:]:
    EDIT_TABLE.write_text(render_edit_table(), encoding="utf-8")
