"""`sources.lock`: what planning knows of source files, and when it looks at them again."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError
from mixlab.config.sources import HubConfig, SourceConfig
from mixlab.plan import sources_lock
from mixlab.plan.canonical import render_spec
from mixlab.plan.sources_lock import (
    LockedSource,
    check_sources,
    locate_files,
    lock_hub,
    lock_source,
    read_entries,
    read_lock,
    remember_files,
    select,
    write_lock,
)
from mixlab.plan.specs import SourceSpec

MACHINE = MachineSettings(data_roots={"lab": "data"})
STRICT = MachineSettings(data_roots={"lab": "data"}, rehash_limit_mib=0)
"""Every file that is not empty is too large to be hashed while planning."""

Hashed = list[str]


def configure(*paths: str, root: str = "lab", **origin: Any) -> SourceConfig:
    files = {"type": "files", "root": root, "paths": paths, "format": "jsonl", "fields": {"text": "{text}"}, **origin}
    return SourceConfig.model_validate({"kind": "raw", "language": "en", "licence": "CC0-1.0", "origin": files})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A working folder with two files below its data root `lab`."""
    (tmp_path / "data/部 1").mkdir(parents=True)
    (tmp_path / "data/部 1/a.jsonl").write_text('{"text": "one"}\n')
    (tmp_path / "data/b.jsonl").write_text('{"text": "two!"}\n')
    return tmp_path


@pytest.fixture
def locked(root: Path) -> dict[str, LockedSource]:
    return {"texts": lock_source("texts", configure("**/*.jsonl"), MACHINE, root)}


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Hashed:
    """Names of the files that are hashed, in order."""
    names: Hashed = []
    digest = sources_lock._sha256
    monkeypatch.setattr(sources_lock, "_sha256", lambda path, *told: names.append(path.name) or digest(path))
    return names


Check = Callable[..., list[str]]


@pytest.fixture
def check(root: Path, locked: dict[str, LockedSource]) -> Check:
    def run(machine: MachineSettings = MACHINE) -> list[str]:
        return [problem.message for problem in check_sources(locked, machine, root, root / "work")]

    return run


def touch(path: Path) -> None:
    os.utime(path, (1_700_000_000, 1_700_000_000))


def test_a_lock_names_each_file_with_its_size_and_digest_in_order_of_path(locked: dict[str, LockedSource]) -> None:
    files = [(file.path, file.bytes, file.digest) for file in locked["texts"].files]
    digests = [hashlib.sha256(text).hexdigest() for text in (b'{"text": "two!"}\n', b'{"text": "one"}\n')]
    assert files == [("b.jsonl", 17, digests[0]), ("部 1/a.jsonl", 16, digests[1])]


def test_a_lock_that_was_written_is_read_back_and_its_sources_are_sorted(
    root: Path, locked: dict[str, LockedSource]
) -> None:
    both = {"z": locked["texts"], "a": lock_source("a", configure("b.jsonl"), MACHINE, root)}
    write_lock(root, both)
    assert read_lock(root) == both
    text = (root / "sources.lock").read_text(encoding="utf-8")
    write_lock(root, dict(reversed(both.items())))
    assert (root / "sources.lock").read_text(encoding="utf-8") == text
    assert text.index('"a"') < text.index('"z"')
    assert "部 1/a.jsonl" in text


def test_without_a_lock_nothing_is_locked(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD\n", "[]", '{"sources": []}', '{"sources": 1}'])
def test_a_lock_that_cannot_be_understood_is_told_with_its_cure(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.lock").write_text(text)
    with pytest.raises(ConfigError, match=r"sources\.lock: cannot be read .*run `mixlab lock`"):
        read_lock(tmp_path)


_FILE = {"path": "a.jsonl", "bytes": 1, "digest": "0" * 64, "joined": False}
_CARD = {"root": "lab", "paths": ["a.jsonl"], "joined_paths": [], "files": [_FILE]}
_HUB = {"id": "acme/qa", "asked": "main", "revision": "0" * 40}


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({}, "lacks 'files'"),
        (1, "expected a mapping, got 1"),
        (_CARD | {"files": [_FILE | {"digest": "zz"}]}, "a.jsonl: 'zz' is no sha256"),
        (_CARD | {"files": [_FILE | {"digest": None}]}, "a.jsonl: None is no sha256"),
        (_CARD | {"files": [_FILE | {"bytes": "many"}]}, "'many' no number of bytes"),
        (_CARD | {"files": []}, "it names no file"),
        (_CARD | {"files": 1}, "not iterable"),
        (_CARD | {"files": [{"path": "a.jsonl"}]}, "missing 2 required positional arguments"),
        ({"hub": _HUB | {"revision": "main"}}, "'main' is no commit"),
    ],
)
def test_a_damaged_entry_is_told_with_its_source_and_cure_and_the_others_are_read(
    tmp_path: Path, card: object, words: str
) -> None:
    (tmp_path / "sources.lock").write_text(
        json.dumps({"sources": {"broken": card, "fine": _CARD, "far": {"hub": _HUB}}})
    )
    with pytest.raises(ConfigError) as caught:
        read_lock(tmp_path)
    (told,) = map(str, caught.value.problems)
    assert told.startswith("sources.lock: source 'broken' cannot be read (")
    assert words in told
    assert told.endswith("; run `mixlab lock broken`")
    entries, _ = read_entries(tmp_path)
    assert sorted(entries) == ["far", "fine"]


def test_empty_files_are_no_copies_of_each_other(root: Path) -> None:
    for name in ("none.jsonl", "nothing.jsonl"):
        (root / f"data/{name}").write_bytes(b"")
    entry = lock_source("texts", configure("**/*.jsonl"), MACHINE, root)
    assert len(entry.digests()) == len(set(entry.digests())) == len(entry.files) - 1


def test_two_files_of_the_same_bytes_are_refused_and_both_named(root: Path) -> None:
    (root / "data/copy.jsonl").write_bytes((root / "data/b.jsonl").read_bytes())
    with pytest.raises(ConfigError) as caught:
        lock_source("texts", configure("**/*.jsonl"), MACHINE, root)
    (problem,) = caught.value.problems
    assert problem.key == "sources.texts.origin.paths"
    assert "'b.jsonl' and 'copy.jsonl' hold the same bytes" in problem.message
    assert "remove one of them, or name in `paths` the files that count" in problem.message


def test_a_file_that_two_patterns_name_counts_once_also_in_an_older_lock(root: Path) -> None:
    config = configure("b.jsonl", "*.jsonl")
    one = lock_source("texts", config, MACHINE, root)
    assert [file.path for file in one.files] == ["b.jsonl"]
    older = replace(one, files=(*one.files, *one.files))
    assert older.find_copies() == []
    assert older.settle(config) == one.settle(config)


def test_a_joined_file_may_be_one_of_the_main_files(root: Path) -> None:
    joined = {"paths": ["b.jsonl"], "format": "jsonl", "id": "{n}", "item": {"r": "{r}"}}
    fields = {"item": {"text": "{text}"}}
    origin = {"type": "files", "root": "lab", "paths": ["b.jsonl"], "format": "jsonl", "fields": fields}
    raw = {"kind": "benchmark", "licence": "CC0-1.0", "origin": origin | {"joined": joined}}
    one = lock_source("items", SourceConfig.model_validate(raw), MACHINE, root)
    assert [(file.path, file.joined) for file in one.files] == [("b.jsonl", False), ("b.jsonl", True)]


@pytest.mark.parametrize("pattern", [".", "./.", "**", "部*"])
def test_a_pattern_that_names_folders_alone_is_told(root: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"names a folder, not files; name those in it, such as '(?!/)[^']*\*'"):
        lock_source("texts", configure(pattern), MACHINE, root)


def test_a_link_below_the_root_may_lead_out_of_it(root: Path) -> None:
    (root / "outside.jsonl").write_text('{"text": "three"}\n')
    (root / "data/link.jsonl").symlink_to(root / "outside.jsonl")
    assert [file.path for file in lock_source("texts", configure("link.jsonl"), MACHINE, root).files] == ["link.jsonl"]


def test_a_file_is_hashed_the_first_time_it_is_seen_and_then_trusted(check: Check, hashed: Hashed) -> None:
    assert check() == []
    assert hashed == ["b.jsonl", "a.jsonl"]
    assert check() == []
    assert check(STRICT) == []
    assert hashed == ["b.jsonl", "a.jsonl"]


def test_a_touched_file_is_hashed_again_when_it_is_small(root: Path, check: Check, hashed: Hashed) -> None:
    check()
    hashed.clear()
    touch(root / "data/b.jsonl")
    assert check() == []
    assert check() == []
    assert hashed == ["b.jsonl"]


def test_a_touched_file_that_is_too_large_is_refused_and_its_cure_named(
    root: Path, check: Check, hashed: Hashed
) -> None:
    check()
    hashed.clear()
    touch(root / "data/b.jsonl")
    (told,) = check(STRICT)
    assert told.startswith(f"source 'texts': {root / 'data/b.jsonl'} looks changed and is too large to hash")
    assert "run `mixlab lock texts`" in told
    assert hashed == []


def test_a_large_file_is_refused_until_it_was_locked_here_and_again_when_it_changes(
    root: Path, locked: dict[str, LockedSource], check: Check
) -> None:
    told = check(STRICT)
    assert len(told) == 2
    assert all("too large to hash while planning; run `mixlab lock texts`" in one for one in told)
    remember_files(locked["texts"], STRICT, root, root / "work")
    assert check(STRICT) == []
    (root / "data/b.jsonl").write_text('{"text": "two?"}\n')
    (told_again,) = check(STRICT)
    assert "run `mixlab lock texts`" in told_again


def test_changed_content_of_the_same_size_is_told(root: Path, check: Check) -> None:
    check()
    (root / "data/b.jsonl").write_text('{"text": "two?"}\n')
    touch(root / "data/b.jsonl")
    for _ in range(2):
        (told,) = check()
        assert "b.jsonl is not the file that was locked; run `mixlab lock texts` to use what is there now" in told
    (root / "data/b.jsonl").write_text('{"text": "two!"}\n')
    assert check() == []


def test_another_size_is_told_without_hashing(root: Path, check: Check, hashed: Hashed) -> None:
    with (root / "data/b.jsonl").open("a") as file:
        file.write("\n")
    (told,) = check()
    assert "b.jsonl is not the file that was locked" in told
    assert hashed == ["a.jsonl"]


def test_all_changed_files_are_told_together(root: Path, check: Check) -> None:
    for path in root.glob("data/**/*.jsonl"):
        path.write_text("changed\n")
    assert len(check()) == 2


def test_a_file_that_is_not_here_is_no_problem_nor_is_its_folder_or_its_data_root(
    root: Path, check: Check, locked: dict[str, LockedSource]
) -> None:
    (root / "data/部 1/a.jsonl").unlink()
    assert check() == []
    (root / "data/部 1").rmdir()
    assert check() == []
    assert check(MachineSettings(data_roots={"lab": "nowhere"})) == []
    assert check(MachineSettings()) == []
    assert locate_files(locked.values(), MachineSettings(), root) == {}


def test_what_planning_remembers_may_be_lost_or_damaged(root: Path, check: Check) -> None:
    check()
    (seen,) = (root / "work").iterdir()
    for text in ("", "[1]", "{"):
        seen.write_text(text)
        assert check() == []


def test_a_data_root_that_the_machine_does_not_name_is_told_with_its_nearest(root: Path) -> None:
    with pytest.raises(ConfigError, match="below the data root 'labs', which is not set; did you mean 'lab'"):
        lock_source("texts", configure("*.jsonl", root="labs"), MACHINE, root)


def test_every_pattern_without_a_file_is_told(root: Path) -> None:
    config = configure("b.jsonl", "*.json", "c/*.jsonl")
    with pytest.raises(ConfigError) as caught:
        lock_source("texts", config, MACHINE, root)
    told = [(problem.key, problem.message) for problem in caught.value.problems]
    place = root / "data"
    assert told == [
        ("sources.texts.origin.paths", f"no file matches '*.json' in {place}"),
        ("sources.texts.origin.paths", f"no file matches 'c/*.jsonl' in {place}"),
    ]


def test_a_generated_source_has_nothing_to_lock(root: Path) -> None:
    origin = {"type": "generator", "name": "invented_world", "size": 1, "options": {"language": "en", "world_seed": 1}}
    raw = {"kind": "raw", "language": "en", "licence": "CC0-1.0", "origin": origin}
    with pytest.raises(ConfigError, match="is generated; there is nothing to lock"):
        lock_source("world", SourceConfig.model_validate(raw), MACHINE, root)


def test_the_same_bytes_under_other_names_in_other_folders_keep_the_key(
    root: Path, locked: dict[str, LockedSource]
) -> None:
    config = configure("**/*.jsonl")
    (root / "data/b.jsonl").rename(root / "data/z.jsonl")
    (root / "data/部 1").rename(root / "data/parts")
    again = lock_source("texts", config, MACHINE, root)
    assert [file.path for file in again.files] == ["parts/a.jsonl", "z.jsonl"]
    before, after = (SourceSpec(source=config.to_settings(one.digests())) for one in (locked["texts"], again))
    assert again != locked["texts"]
    assert render_spec(before) == render_spec(after)
    assert locate_files([again], MACHINE, root)[again.files[1].digest] == str(root / "data/z.jsonl")


def test_a_lock_is_of_a_declaration_until_its_root_or_paths_change(locked: dict[str, LockedSource]) -> None:
    origins = [configure(*paths, root=root).origin for paths, root in ((["**/*.jsonl"], "lab"), (["*.jsonl"], "lab"))]
    assert [locked["texts"].is_of(origin) for origin in origins] == [True, False]  # type: ignore[arg-type]
    assert not locked["texts"].is_of(configure("**/*.jsonl", root="other").origin)  # type: ignore[arg-type]


def test_sources_are_selected_by_patterns_and_what_matches_none_is_told() -> None:
    assert select(["wiki_*", "code"], ["wiki_ja", "code", "wiki_en", "math"]) == ["code", "wiki_en", "wiki_ja"]
    with pytest.raises(ConfigError, match="nothing that can be locked is named 'maths'; did you mean 'math'"):
        select(["maths"], ["math"])


def test_a_hub_source_is_locked_by_its_commit_until_another_revision_is_declared(root: Path) -> None:
    hub = {"type": "hub", "id": "acme/qa", "preset": "text"}
    base = {"kind": "raw", "language": "en", "licence": "CC0-1.0"}
    config = SourceConfig.model_validate(base | {"origin": hub})
    assert isinstance(config.origin, HubConfig)
    one = lock_hub(config.origin, "c" * 40)
    write_lock(root, {"hub": one})
    assert read_lock(root) == {"hub": one}
    assert '"hub"' in (root / "sources.lock").read_text(encoding="utf-8")
    assert one.is_of(config.origin)
    assert not one.is_of(config.origin.model_copy(update={"revision": "v2"}))
    assert not one.is_of(configure("b.jsonl").origin)  # type: ignore[arg-type]
    settled = one.settle(config)
    assert settled.origin.revision == "c" * 40  # type: ignore[union-attr]
    assert check_sources({"hub": one}, MACHINE, root, root / "work") == []
    with pytest.raises(ConfigError, match="is read from the hub"):
        lock_source("hub", config, MACHINE, root)


def test_a_file_source_locked_before_is_not_the_hub_source_declared_now(locked: dict[str, LockedSource]) -> None:
    hub = HubConfig.model_validate({"type": "hub", "id": "acme/qa", "preset": "text"})
    assert not locked["texts"].is_of(hub)


def test_a_folder_saved_by_datasets_stands_for_its_arrow_files(root: Path) -> None:
    folder = root / "data/saved/train"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-0.arrow"}]}')
    (folder / "dataset_info.json").write_text("{}")
    (folder / "data-0.arrow").write_bytes(b"one")
    (root / "data/saved/dataset_dict.json").write_text('{"splits": ["train"]}')
    one = lock_source("texts", configure("saved/train", format="arrow"), MACHINE, root)
    assert [file.path for file in one.files] == ["saved/train/data-0.arrow"]
    with pytest.raises(ConfigError, match="holds several splits; name one, such as saved/train"):
        lock_source("texts", configure("saved", format="arrow"), MACHINE, root)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "../../b.jsonl"}]}')
    with pytest.raises(ConfigError, match="is not as `datasets` saves it"):
        lock_source("texts", configure("saved/train", format="arrow"), MACHINE, root)
    (folder / "state.json").write_text("[]")
    with pytest.raises(ConfigError, match="is not as `datasets` saves it"):
        lock_source("texts", configure("saved/train", format="arrow"), MACHINE, root)


def test_hashing_a_large_file_tells_how_far_it_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_lock, "_TOLD_BYTES", 1)
    told: list[str] = []
    lock_source("texts", configure("b.jsonl"), MACHINE, root, told.append)
    assert told == ["b.jsonl: 0 of 0.0 GiB hashed"]
