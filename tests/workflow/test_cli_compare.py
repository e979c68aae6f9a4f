"""`mixlab compare`: published tables against themselves; a user's mistakes leave with 2 and no traceback."""

import json
import shutil
from pathlib import Path

import pytest
from checkouts import run_python


@pytest.fixture
def root(tmp_path: Path) -> Path:
    repository = Path(__file__).resolve().parents[2]
    shutil.copytree(repository / "src/mixlab", tmp_path / "src/mixlab", ignore=shutil.ignore_patterns("*.pyc.*"))
    (tmp_path / "config.yaml").write_text("study: micro\n")
    return tmp_path


def test_published_tables_are_checked_in_text_and_json(root: Path, shared_data: Path) -> None:
    (root / "config.yaml").write_text(f"study: micro\nmachine:\n  data_roots:\n    shared: {shared_data}\n")
    text = run_python(root, "-m", "mixlab.cli", "compare", "--published", "kodama-oda")
    assert text.returncode == 0, text.stderr
    assert "17 of 347 numbers do not follow:" in text.stdout
    assert "totals of Table 2: n_samples: printed 1005313, computed 1005170 = 90748 + 179531" in text.stdout
    assert "does not follow, apart by 143" in text.stdout
    folder = str(shared_data / "published/kodama-oda")
    told = run_python(root, "-m", "mixlab.cli", "compare", "--published", "kodama-oda", "--tables", folder, "--json")
    found = json.loads(told.stdout)
    apart = {one["name"]: one["numbers"] - one["follow"] for one in found["derivations"]}
    wanted = {"totals of Table 2": 1, "`general` of Table 4": 16}
    assert {name: count for name, count in apart.items() if count} == wanted
    assert len(found["table_3"]) == 16
    assert all(0 <= one["test"]["p"] <= one["p_holm"] <= 1 for one in found["table_3"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--published", "kodama-oda"], "config.yaml: machine.data_roots: no data root 'shared'"),
        (["--published", "kodama-oda", "--tables", "nowhere"], "nowhere: no such folder"),
        (["--published", "kodama-oda", "--tables", "."], "table01.csv: missing: Table 1"),
        (["--published", "somebody"], "'somebody' is not 'kodama-oda'"),
        ([], "Missing option '--published'"),
    ],
)
def test_a_mistake_leaves_with_2_and_says_what_to_do(root: Path, arguments: list[str], told: str) -> None:
    done = run_python(root, "-m", "mixlab.cli", "compare", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
