"""The recipes of docs/adding-a-*.md, followed literally in a copy: every file as written, every command as printed."""

import shutil
from pathlib import Path

import pytest
from checkouts import copy_checkout, pretend_finished
from docs_blocks import CONSOLE, PLAIN, REPOSITORY, follow, read_blocks, read_purpose, run_command

RECIPES = sorted((REPOSITORY / "docs").glob("adding-a-*.md"))
BESIDE = ("docs", "tests", "README.md", "dvc.yaml", "pyproject.toml", ".gitignore")
"""What a recipe edits or runs beside what a study needs."""


def make_copy(root: Path) -> Path:
    """Copy the checkout, tests and documents included, with the micro study as if it were finished, under git."""
    copy_checkout(root)
    for name in BESIDE:
        source, target = REPOSITORY / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    pretend_finished(root)
    run_command(root, "git init --quiet && git add --all")
    run_command(root, "git -c user.name=Hanako -c user.email=hanako@lab.example commit --quiet --message begin")
    return root


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_followed_literally_works(recipe: Path, tmp_path: Path) -> None:
    root = make_copy(tmp_path / "copy")
    for block in read_blocks(recipe):
        follow(root, block)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_block_of_a_recipe_says_what_it_is_for(recipe: Path) -> None:
    blocks = read_blocks(recipe)
    edits = [read_purpose(block) for block in blocks if block.language not in (CONSOLE, PLAIN)]
    assert edits
    assert any(block.language == CONSOLE for block in blocks)
