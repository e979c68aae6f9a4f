"""docs/trust.md, followed on a finished study under git: code drifts, and canaries notice."""

import json
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/house"))
from docs_blocks import Command, find_difference, read_commands, run_command  # noqa: E402

CHANGING = (
    (r"\d+\.\d s", "SECONDS"),
    (r"\b[0-9a-f]{12}\b", "COMMIT"),
    (r"canaries/\w+/", "PLACE/"),
    (r"byte \d+", "BYTE"),
)
"""Times, names of folders, and where the last bits of another processor differ."""


def blur(line: str) -> str:
    for pattern, word in CHANGING:
        line = re.sub(pattern, word, line)
    return re.sub(r"\s+", " ", line).strip()


def commit(root: Path) -> None:
    """Let the code that made the study be that of a commit."""
    identity = "-c user.name=Hanako -c user.email=hanako@lab.example -c maintenance.auto=false -c gc.auto=0"
    add = f"git init --quiet && git add src studies && git {identity} commit --quiet --message begin"
    subprocess.run(add, shell=True, cwd=root, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True).stdout
    for path in (root / "provenance").glob("*/*/*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**record, "commit": head.strip()}), encoding="utf-8")


def test_the_document_shows_how_drift_is_found_and_what_a_canary_says(study: Path) -> None:
    commit(study)
    commands = read_commands(REPOSITORY / "docs/trust.md")
    assert [one.text.split()[0] for one in commands] == ["sed", "mixlab", "mixlab"]
    for one in commands:
        said = "".join(f"{blur(line)}\n" for line in run_command(study, one.text).splitlines())
        assert not find_difference(Command(one.block, one.text, tuple(map(blur, one.printed))), said)


def test_a_remark_in_the_code_is_no_drift_and_leaves_canaries_alone(study: Path) -> None:
    commit(study)
    path = study / "src/mixlab/training/averaging/mean.py"
    path.write_text(f"# a remark\n\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    assert run_command(study, "mixlab drift micro --strict") == "85 artifacts looked at, 0 findings.\n"
