"""One finished micro study for all tests of this room; each test edits a copy of its own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import SHIPPED, copy_checkout
from chromium import Page, find_chromium, open_chromium
from filelock import FileLock
from runs import run_all
from slurm_cluster import PrivateSlurm, find_obstacle
from slurm_lab import Cluster

from mixlab.report.site.site import PAGE


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A working folder with spaces and Japanese in its path, in which the micro study was run from nothing."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    root = shared / "finished study 研究"
    with FileLock(shared / "finished.lock"):
        if not (root / "finished").exists():
            copy_checkout(root, SHIPPED)
            run_all(root)
            (root / "finished").touch()
    return root


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A moved copy of the finished study."""
    root = tmp_path / "moved 移動"
    shutil.copytree(finished, root, symlinks=True)
    return root


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Slurm of two nodes, one for the session: its tests are of one xdist group."""
    if obstacle := find_obstacle():
        if os.environ.get("MIXLAB_REQUIRE_SLURM"):
            pytest.fail(f"MIXLAB_REQUIRE_SLURM is set, and there is no Slurm: {obstacle}")
        pytest.skip(obstacle)
    slurm = PrivateSlurm(tmp_path_factory.mktemp("slurm"))
    try:
        slurm.up()
        yield Cluster(slurm)
    finally:
        slurm.down()


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium here: `make chromium` installs it")
    with open_chromium(program) as page:
        yield page


@pytest.fixture
def page(browser: Page, folder: Path) -> Iterator[Page]:
    """The page of the module's `folder`, opened anew; whatever the browser complains of fails the test."""
    browser.errors.clear()
    browser.requested.clear()
    browser.open("about:blank")
    browser.open((folder / PAGE).as_uri())
    browser.wait_for("document.documentElement?.dataset.ready === 'yes'")
    yield browser
    assert browser.errors == []
    assert [url for url in browser.requested if not url.startswith(("file:", "about:"))] == []
