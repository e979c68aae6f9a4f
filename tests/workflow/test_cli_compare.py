"""`mixlab compare`: published tables against themselves; a user's mistakes leave with 2 and no traceback."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from checkouts import REPOSITORY

from mixlab.analysis.published.beside import list_lacking
from mixlab.analysis.targets import Place, TargetCell
from mixlab.artifacts.store import Store
from mixlab.cli import main
from mixlab.cli.compare import read_targets
from mixlab.config.problems import DataError
from mixlab.plan.build import build_plan

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


def make_report(root: Path, study: str, *lacking: str) -> str:
    """Publish a report whose targets hold one cell each, without the fields or targets named; return its key."""
    shutil.copytree(REPOSITORY / "studies", root / "studies", dirs_exist_ok=True)
    shutil.copy(REPOSITORY / "sources.lock", root)
    plan = build_plan(root, [study], check_files=False).plan
    (key,) = (key for key in plan.targets[study] if plan.nodes[key].stage == "report")
    cell = asdict(TargetCell(Place("25-25-25-25", "llmjp3", "after_sft", "EN AVG"), 5.57, None, 4, 4, 0))
    cell = {name: value for name, value in cell.items() if name not in lacking}
    with Store(root).writing("report", key) as draft:
        assert draft is not None
        (draft.out / "targets").mkdir()
        for target in plan.nodes[key].spec.targets:
            published = target.target.published.model_dump() if target.target.published is not None else None
            card = {"published": published, "cells": [cell]}
            card = {name: value for name, value in card.items() if name not in lacking}
            if target.name not in lacking:
                (draft.out / "targets" / f"{target.name}.json").write_text(json.dumps(card))
        draft.publish({}, {})
    return key


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (("difference_n", "against_unparsed"), "has no cells.difference_n, cells.against_unparsed; "),
        (("place",), "has no cells.place; "),
        (("published",), "has no published; "),
    ],
)
def test_a_report_of_another_version_leaves_with_2_and_says_what_it_lacks(
    root: Path, shared_data: Path, lacking: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = "kodama_oda/tiny/category_ratio"
    key = make_report(root, study, *lacking)
    assert run_compare(study, *PAPER, "--tables", str(shared_data / "published/kodama-oda")) == 2
    lines = capsys.readouterr().err.splitlines()
    # each of the study's targets that stand beside a table
    assert lines[0] == f"mixlab: {len(lines) - 1} problems" and len(lines) > 2
    assert all(told in line and f"artifacts/report/{key}/targets/table_" in line for line in lines[1:])
    cure = f"run `rm -r artifacts/report/{key}` and `snakemake --profile local all --config study={study}`"
    assert all(line.endswith(cure) for line in lines[1:])


def test_a_report_without_a_target_names_its_file_and_a_tracked_one_is_to_be_forgotten(
    root: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = "kodama_oda/tiny/category_ratio"
    key = make_report(root, study, "table_03")
    (root / "tracked/report").mkdir(parents=True)
    (root / f"tracked/report/{key}.dvc").write_text("")
    assert run_compare(study, *PAPER, "--tables", str(shared_data / "published/kodama-oda")) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "targets/table_03.json: missing; " in said and f", `mixlab forget {key}` and `snakemake" in said


def test_a_report_that_lacks_nothing_is_compared(
    root: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = "kodama_oda/tiny/category_ratio"
    make_report(root, study)
    assert run_compare(study, *PAPER, "--tables", str(shared_data / "published/kodama-oda")) == 0
    assert "table_03 beside Table 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            b'{"published": null, "cells": [',
            "cannot be read as JSON (Expecting value: line 1 column 31 (char 30)); run `rm",
        ),
        (b'{"published": "\xff"}', "cannot be read as JSON ('utf-8' codec can't decode byte 0xff in position 15"),
        (b'{"published": null, "cells": null}', "has no cells; the report was made by another version of mixlab; run "),
        (b'{"published": null, "cells": [null]}', "has no cells; "),
        (b'{"published": 3, "cells": []}', "has no published; "),
        (b'{"published": {"table": "03", "variants": null}, "cells": []}', "has no published.base_models, published.m"),
        (b"[]", "has no published, cells; "),
    ],
)
def test_a_target_that_is_not_what_it_should_be_is_named_with_the_cure(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "table_03.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_targets(tmp_path, ["table_03"], "run `rm -r here`")
    (problem,) = caught.value.problems
    assert problem.file.endswith("table_03.json") and problem.message.startswith(told)
    assert problem.message.endswith("run `rm -r here`")


def test_a_cell_whose_place_is_none_lacks_it() -> None:
    cell = asdict(TargetCell(Place("25-25-25-25", "llmjp3", "after_sft", "EN AVG"), 5.57, None, 4, 4, 0))
    assert list_lacking({"published": None, "cells": [cell]}) == []
    assert list_lacking({"published": None, "cells": [{**cell, "place": None}]}) == ["cells.place"]
    assert (
        list_lacking({"published": None, "cells": [{**cell, "place": {"variant": ""}}]})[0] == "cells.place.base_model"
    )
