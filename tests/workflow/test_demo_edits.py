"""The edit table on the demo, dry: what a run would make after an edit of a finished study."""

from collections import Counter
from pathlib import Path

import pytest
from checkouts import REPOSITORY, copy_checkout, list_wanted, pretend_finished, run_python
from editing import Apply, replace

DEMO = "studies/demo.yaml"
_TABLES = {"aggregate": 1, "report": 1}
_EIGHT_MODELS = {"sft": 6, "generate": 80, "score": 64, "judge": 16, "scores": 8}
_NOTHING: dict[str, int] = {}

ROWS: dict[str, tuple[Apply, dict[str, int]]] = {
    "one ratio of one mixture": (
        replace(DEMO, "instruction: 1/2", "instruction: 0.51"),
        {"mixture": 1, "ipt": 2, "average": 2, **_EIGHT_MODELS, **_TABLES},
    ),
    "one SFT seed added": (
        replace(DEMO, "sft_seed: [1, 2, 3]", "sft_seed: [1, 2, 3, 4]"),
        {"sft": 12, "generate": 120, "score": 96, "judge": 24, "scores": 12, **_TABLES},
    ),
    "a ratio written otherwise": (replace(DEMO, "instruction: 1/2", "instruction: 50 %"), _NOTHING),
}


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    root = copy_checkout(tmp_path / "demo 見本")
    (root / DEMO).write_text((REPOSITORY / DEMO).read_text())
    config = root / "config.yaml"
    config.write_text(config.read_text().replace("study: micro", "study: demo"))
    pretend_finished(root)
    return root


@pytest.mark.parametrize("row", ROWS)
def test_an_edit_of_the_demo_wants_its_descendants_and_nothing_else(demo: Path, row: str) -> None:
    apply, expected = ROWS[row]
    apply(demo)
    assert Counter(stage for stage, _ in list_wanted(demo)) == Counter(expected)
    said = run_python(demo, "-m", "snakemake", "-n", "all", "--quiet", "rules")
    assert said.returncode == 0, said.stderr
    assert ("Nothing to be done" in said.stdout + said.stderr) == (not expected)
