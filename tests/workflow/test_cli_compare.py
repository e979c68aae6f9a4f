"""`mixlab compare`: published tables against themselves; a user's mistakes leave with 2 and no traceback."""

import json
from pathlib import Path

import pytest

from mixlab.cli import main

PAPER = ("--published", "kodama-oda")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.yaml").write_text("study: micro\n")
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_compare(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["compare", *arguments])
    return int(left.value.code or 0)


def test_published_tables_are_checked_in_text(
    root: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "config.yaml").write_text(f"study: micro\nmachine:\n  data_roots:\n    shared: {shared_data}\n")
    assert run_compare(*PAPER, "--arithmetic") == 0
    text = capsys.readouterr().out
    assert "1 of 377 numbers cannot be computed:\n  cells of Table 1: Japanese, code: printed 10.8, cannot be" in text
    assert "17 of 377 numbers do not follow:" in text
    assert "totals of Table 2: n_samples: printed 1005313, computed 1005170 = 90748 + 179531" in text
    assert "does not follow, apart by 143" in text
    # every computation is shown, those that come out right as well
    assert text.count(": follows, apart by") == 359
    assert text.count("does not follow, apart by") == 2 * 17


def test_published_tables_are_checked_in_json(
    root: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(shared_data / "published/kodama-oda")
    assert run_compare(*PAPER, "--tables", folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    apart = {
        one["name"]: one["numbers"] - one["follow"] - len(one["cannot_be_computed"]) for one in found["derivations"]
    }
    wanted = {"totals of Table 2": 1, "`general` of Table 4": 16}
    assert {name: count for name, count in apart.items() if count} == wanted
    assert sum(len(one["checks"]) for one in found["derivations"]) == 376
    gaps = [gap["where"] for one in found["derivations"] for gap in one["cannot_be_computed"]]
    assert gaps == ["Japanese, code"]
    assert len(found["table_3"]) == 16
    assert all(0 <= one["test"]["p"] <= one["p_holm"] <= 1 for one in found["table_3"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (PAPER, "config.yaml: machine.data_roots: no data root 'shared'"),
        ((*PAPER, "--tables", "nowhere"), "nowhere: no such folder"),
        ((*PAPER, "--tables", "."), "table01.csv: missing: Table 1"),
        (("--published", "somebody"), "'somebody' is not 'kodama-oda'"),
        ((), "Missing option '--published'"),
    ],
)
def test_a_mistake_leaves_with_2_and_says_what_to_do(
    root: Path, arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_compare(*arguments) == 2
    assert told in capsys.readouterr().err


def test_a_study_that_is_not_there_leaves_with_2(
    root: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(shared_data / "published/kodama-oda")
    assert run_compare("nothing", *PAPER, "--tables", folder) == 2
    assert "no such study" in capsys.readouterr().err
