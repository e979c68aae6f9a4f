"""Copies of a checkout in which somebody works meanwhile."""

from pathlib import Path

import checkouts
import pytest


def test_a_module_that_another_process_compiles_meanwhile_is_no_part_of_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = tmp_path / "here/src/__pycache__"
    compiled.mkdir(parents=True)
    (compiled / "one.cpython-312.pyc").write_bytes(b"whole")
    # where the target of a link is gone, as a file is that was renamed after the folder was listed
    (compiled / "two.cpython-312.pyc.140230").symlink_to("gone")
    monkeypatch.setattr(checkouts, "REPOSITORY", tmp_path / "here")
    monkeypatch.setattr(checkouts, "COPIED", ("src",))
    copy = checkouts.copy_checkout(tmp_path / "copy")
    assert [path.name for path in sorted((copy / "src/__pycache__").iterdir())] == ["one.cpython-312.pyc"]
