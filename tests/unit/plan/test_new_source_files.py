"""Files that patterns of a source name and that were not there when it was locked."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from golden import REPOSITORY

from mixlab.cli.plan import command
from mixlab.config.machine import MachineSettings
from mixlab.plan.build import find_new_files
from mixlab.plan.sources_lock import lock_files, read_lock, write_lock


def test_files_that_came_after_the_lock_are_told(tmp_path: Path) -> None:
    machine = MachineSettings(data_roots={"data": "data"})
    (tmp_path / "data/deep").mkdir(parents=True)
    for name in ("a.jsonl", "key.csv"):
        (tmp_path / "data" / name).write_text(name)
    base, where = tmp_path / "data", "sources.web.origin.paths"
    locked = {"web": lock_files(where, base, "data", ["*.jsonl", "**/*.jsonl"], ["key.csv"])}
    assert find_new_files(locked, machine, tmp_path) == []
    (tmp_path / "data/deep/b.jsonl").write_text("b")
    # no pattern names these
    (tmp_path / "data/key2.csv").write_text("c")
    (tmp_path / "data/c.jsonl.part").write_text("d")
    assert find_new_files(locked, machine, tmp_path) == [
        "source 'web': its patterns name 1 file more than sources.lock (deep/b.jsonl), left out so far; run "
        "`mixlab lock web` to use what is there now"
    ]
    for number in range(4):
        (tmp_path / f"data/d{number}.jsonl").write_text(str(number))
    (told,) = find_new_files(locked, machine, tmp_path)
    assert "5 files more than sources.lock (d0.jsonl, d1.jsonl, d2.jsonl, ...)" in told
    assert find_new_files(locked, MachineSettings(), tmp_path) == []
    shutil.rmtree(tmp_path / "data")
    assert find_new_files(locked, machine, tmp_path) == []


def test_a_pattern_that_cannot_be_followed_any_more_is_told(tmp_path: Path) -> None:
    machine = MachineSettings(data_roots={"data": "data"})
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jsonl").write_text("a")
    locked = {"web": lock_files("", tmp_path / "data", "data", ["*"])}
    (tmp_path / "data/splits").mkdir()
    (tmp_path / "data/splits/dataset_dict.json").write_text("{}")
    (told,) = find_new_files(locked, machine, tmp_path)
    assert told.startswith("source 'web': whether '*' names new files cannot be seen: ")
    assert "holds several splits" in told


def test_a_plan_tells_them_and_leaves_them_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(REPOSITORY / "tests/data/micro", tmp_path / "data")
    (tmp_path / "config.yaml").write_text("study: micro\nmachine: {data_roots: {micro: data}}\n")
    (tmp_path / "studies").mkdir()
    text = (REPOSITORY / "studies/micro.yaml").read_text()
    (tmp_path / "studies/micro.yaml").write_text(text.replace("[raw_en.jsonl]", '["raw_*.jsonl"]'))
    lock = {name: one for name, one in read_lock(REPOSITORY).items() if name == "math_file"}
    lock["raw_file"] = lock_files("", tmp_path / "data", "micro", ["raw_*.jsonl"])
    write_lock(tmp_path, lock)
    monkeypatch.chdir(tmp_path)
    before = CliRunner().invoke(command, ["--json"])
    assert (before.exit_code, before.stderr) == (0, "")
    (tmp_path / "data/raw_new.jsonl").write_text('{"text": "A new day began."}\n')
    after = CliRunner().invoke(command, ["--json"])
    assert (after.exit_code, after.stdout) == (0, before.stdout)
    assert "its patterns name 1 file more than sources.lock (raw_new.jsonl)" in after.stderr
