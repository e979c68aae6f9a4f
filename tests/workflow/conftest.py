"""Fixtures of the workflow tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import CONFIG, REPOSITORY
from click.testing import CliRunner, Result

from mixlab.cli import mixlab

Invoke = Callable[..., Result]


@pytest.fixture
def micro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, made the current one, with the micro study and its data; the code is this checkout's."""
    root = tmp_path / "working folder 作業"
    (root / "studies").mkdir(parents=True)
    (root / "tests/data").mkdir(parents=True)
    (root / "tests/data/micro").symlink_to(REPOSITORY / "tests/data/micro")
    (root / "config.yaml").write_text(CONFIG)
    for name in ("sources.lock", "studies/micro.yaml"):
        (root / name).write_text((REPOSITORY / name).read_text())
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def invoke() -> Invoke:
    """Runs `mixlab` in this process; an exception that would be a traceback fails the test."""

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(mixlab, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
