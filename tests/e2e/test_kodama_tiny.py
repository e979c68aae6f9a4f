"""The tiny studies of Kodama & Oda run whole: every table and figure of the paper is really made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import REPOSITORY, copy_checkout, environment, run_mixlab
from runs import run

STUDIES = [f"kodama_oda/tiny/{path.stem}" for path in sorted((REPOSITORY / "studies/kodama_oda/tiny").glob("*.yaml"))
           if path.stem != "tiny"]  # fmt: skip
FIGURES = ("figure_2", "figure_3", "figure_4")
DATA = ("table_01", "table_02", "table_09", "table_13")
SCORES = ("table_03", "table_04", "table_05", "table_12", "table_14", "table_16")
pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A working folder in which all six studies are finished."""
    root = copy_checkout(tmp_path_factory.mktemp("kodama") / "tiny")
    shutil.copytree(REPOSITORY / "studies", root / "studies", dirs_exist_ok=True)
    with (root / "config.yaml").open("a") as file:
        file.write(f"    shared: {json.dumps(str(shared_data))}\n")
    program = [sys.executable, str(REPOSITORY / "tests/e2e/one_process.py"), *STUDIES]
    done = subprocess.run(program, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return root


def find_targets(root: Path) -> dict[str, Path]:
    """Folder of every target that the reports of the studies hold, by name."""
    found = {}
    for folder in (root / "artifacts/report").glob("*/targets"):
        found |= {path.stem: folder for path in folder.glob("*.md")}
    return found


def test_every_table_and_figure_is_made_and_no_cell_is_missing(root: Path) -> None:
    assert len(STUDIES) == 6
    targets = find_targets(root)
    assert set(targets) == {*FIGURES, *DATA, *SCORES}
    for name, folder in targets.items():
        endings = ("md", "tex", "csv", "json", *(("svg", "png") if name in FIGURES else ()))
        assert all((folder / f"{name}.{ending}").stat().st_size > 100 for ending in endings), name
        card = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        assert card["rows"]
        states = {cell["state"] for cell in card["cells"]}
        assert states <= {"", "no such point"}, name
        assert all(cell["n"] == cell["n_wanted"] for cell in card["cells"] if not cell["state"]), name
        # a figure of equal numbers would show nothing of its lines and bars
        assert name not in (*FIGURES, *SCORES) or len({cell["mean"] for cell in card["cells"]}) > 3, name


def test_snakemake_finds_nothing_left_to_do(root: Path) -> None:
    code, output = run(root, "-n", "all", "--config", f"study={','.join(STUDIES)}")
    assert code == 0, output
    assert "Nothing to be done" in output


def test_the_tables_stand_beside_the_published_ones_and_can_be_shown(root: Path) -> None:
    for study in STUDIES:
        name = study.rpartition("/")[2]
        if name in ("raw_ratio", "language_ratio"):
            continue
        told = json.loads(run_mixlab(root, "compare", study, "--published", "kodama-oda", "--json"))
        for one in told["studies"][study]:
            missing = [row for row in one["rows"] if row["ours"] is None and row["state"] != "not known"]
            assert one["matched"] > 0
            assert missing == [], one["target"]
            assert one["unmatched"] == 0, one["target"]
    text = run_mixlab(root, "show", "kodama_oda/tiny/category_ratio", "--target", "table_03")
    assert "| 17-17-17-50 |" in text
    assert "targets/table_03.tex" in text
