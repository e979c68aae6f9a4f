"""Fixtures of the workflow tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkouts import CONFIG, REPOSITORY
from click.testing import CliRunner, Result
from dvc_checkouts import finish, make_repository
from shelves import make_shelf

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


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a finished, tracked, pushed and committed micro study in `first`, and its remote."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("研究 lab")
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
        finish(make_repository(folder))
        yield folder


@pytest.fixture
def root(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished checkout and its remote, of one's own, made the current folder."""
    for name in ("first", "remote"):
        shutil.copytree(lab / name, tmp_path / name, symlinks=True)
    monkeypatch.chdir(tmp_path / "first")
    return tmp_path / "first"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with a remote in a folder beside it, made the current folder."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = make_shelf(tmp_path / "棚 shelf")
    monkeypatch.chdir(root)
    return root
