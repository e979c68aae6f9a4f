"""A source too large to hash while planning: refused until `mixlab lock` has looked at it."""

from pathlib import Path

from mixlab.config.machine import MachineSettings
from mixlab.config.sources import SourceConfig
from mixlab.plan.sources_lock import LockedSource, check_sources, lock_source, remember_files

SOURCE = {
    "kind": "raw",
    "language": "en",
    "licence": "CC0-1.0",
    "origin": {"type": "files", "root": "here", "paths": ["big.txt"], "format": "text"},
}
MACHINE = MachineSettings(data_roots={"here": "data"}, rehash_limit_mib=0)


def lock(root: Path) -> dict[str, LockedSource]:
    return {"big": lock_source("big", SourceConfig.model_validate(SOURCE), MACHINE, root)}


def test_a_large_file_is_refused_until_lock_has_seen_it_and_again_when_it_changes(tmp_path: Path) -> None:
    work, big = tmp_path / "work", tmp_path / "data/big.txt"
    big.parent.mkdir()
    big.write_text("once upon a time")
    locked = lock(tmp_path)
    (problem,) = check_sources(locked, MACHINE, tmp_path, work)
    assert "too large to hash while planning; run `mixlab lock big`" in str(problem)
    remember_files(locked["big"], MACHINE, tmp_path, work)
    assert check_sources(locked, MACHINE, tmp_path, work) == []
    big.write_text("once upon a TIME")
    (problem,) = check_sources(locked, MACHINE, tmp_path, work)
    assert "mixlab lock big" in str(problem)


def test_another_size_is_another_file_without_reading_it(tmp_path: Path) -> None:
    big = tmp_path / "data/big.txt"
    big.parent.mkdir()
    big.write_text("once")
    locked = lock(tmp_path)
    big.write_text("once more")
    (problem,) = check_sources(locked, MACHINE, tmp_path, tmp_path / "work")
    assert "is not the file that was locked" in str(problem)


def test_a_damaged_list_of_seen_files_is_forgotten(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "seen_files.json").write_text("{")
    assert check_sources({}, MACHINE, tmp_path, work) == []
