"""Files stay small: people complain about the maximum, and read the median."""

import re
import statistics
from pathlib import Path

from mixlab.plan.stages import STAGES

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tests", "workflow", "performance")
WALL, MEDIAN, CONTENTS = 400, 150, 50


def count_lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def list_python() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))


def test_no_python_file_is_longer_than_the_wall() -> None:
    long = {path.relative_to(REPOSITORY).as_posix(): count_lines(path) for path in list_python()}
    assert {name: lines for name, lines in long.items() if lines > WALL} == {}


def test_the_median_module_is_short() -> None:
    modules = [path for path in (REPOSITORY / "src/mixlab").rglob("*.py") if path.name != "__init__.py"]
    assert statistics.median(count_lines(path) for path in modules) <= MEDIAN


def test_the_snakefile_is_a_table_of_contents_and_rules_hold_no_functions() -> None:
    assert count_lines(REPOSITORY / "Snakefile") <= CONTENTS
    for path in [REPOSITORY / "Snakefile", *sorted((REPOSITORY / "rules").glob("*.smk"))]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*def ", text, re.M), (
            f"{path.name} defines a function; it belongs into plan/workflow.py"
        )
        for word in ("script:", "run:", "notebook:"):
            assert not re.search(rf"^\s+{word}", text, re.M), f"{path.name} uses `{word}`; rules use `shell:` alone"


def test_a_rule_is_at_most_20_lines() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "rules").glob("*.smk")]
    rules = [rule for text in texts for rule in re.split(r"^(?=\s*rule\b)", text, flags=re.M)[1:]]
    bodies = [re.split(r"\n\s*\n\s*\n|\n(?=\S)", rule)[0] for rule in rules]
    assert len(bodies) >= len(STAGES)
    assert [body.splitlines()[0] for body in bodies if body.count("\n") > 20] == []
