"""Lower floors never import higher ones, and nothing of one machine or person is in the files."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# written in pieces, so that this file does not match itself
SECRETS = re.compile(
    "|".join(
        (
            "hf" + r"_[A-Za-z0-9]{30,}",
            "sk" + r"-[A-Za-z0-9_-]{20,}",
            "gh" + r"[pousr]_[A-Za-z0-9]{30,}",
            "AKIA" + r"[0-9A-Z]{16}",
            "xox" + r"[abpr]-[0-9A-Za-z-]{10,}",
            "BEGIN " + r"[A-Z ]*PRIVATE KEY",
        )
    )
)
PLACES = re.compile(
    "|".join(("/wo" + r"rk/(main|shared|interfaces)\b", "/ho" + r"me/[a-z]", "/ro" + r"ot/", "/Us" + r"ers/"))
)
TEXTS = {".py", ".smk", ".yaml", ".yml", ".toml", ".md", ".txt", ".json", ".cfg", ".css", ".j2", ".lock", ""}


def list_texts() -> list[Path]:
    """The files that git has or would take, as far as they are text."""
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("the files of the repository are listed by git, which is not here")
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = [REPOSITORY / name for name in names if name]
    return [path for path in paths if path.suffix in TEXTS and path.is_file() and not path.is_symlink()]


def find(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in list_texts():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:80]}")
    return found


def test_the_import_contract_holds() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--no-cache"] if program.exists() else ["lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contract_is_the_one_of_the_design() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    contract, *_ = settings["tool"]["importlinter"]["contracts"]
    floors = [floor.replace("mixlab.", "") for floor in contract["layers"]]
    assert floors == [
        "cli",
        "stages",
        "report",
        "analysis",
        "evaluation",
        "plan | training | generation",
        "data",
        "config",
        "artifacts",
    ]


def test_every_package_stands_on_a_floor() -> None:
    packages = {path.parent.name for path in (REPOSITORY / "src/mixlab").glob("*/__init__.py")}
    text = (REPOSITORY / "pyproject.toml").read_text()
    assert {name for name in packages if f"mixlab.{name}" not in text} == set()


def test_no_file_names_a_place_of_one_machine() -> None:
    assert find(PLACES) == []


def test_no_file_holds_what_looks_like_a_secret() -> None:
    assert find(SECRETS) == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert PLACES.search("root = '/ho" + "me/someone/data'")
    assert SECRETS.search("token = 'hf" + "_" + "a" * 34 + "'")
