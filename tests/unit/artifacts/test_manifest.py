"""Manifests, digests, states and provenance: what is said of bytes."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import build_key, canonical_json, digest_file, split_reference
from mixlab.artifacts.manifest import check_files, read_manifest, write_manifest
from mixlab.artifacts.provenance import read_commit, write_provenance
from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store, write_json

KEY = "0123456789abcdef"


def test_canonical_json_has_one_form_and_no_nan() -> None:
    assert canonical_json({"b": 1, "a": ["日", None, 0.5]}) == '{"a":["日",null,0.5],"b":1}'
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical_json(number)


def test_a_key_depends_on_stage_spec_and_parents_and_is_16_hex_digits() -> None:
    key = build_key("sft", "{}", {"model": ["a"]})
    assert len(key) == 16
    assert set(key) <= set("0123456789abcdef")
    others = {
        build_key("ipt", "{}", {"model": ["a"]}),
        build_key("sft", "{}", {}),
        build_key("sft", "[]", {"model": ["a"]}),
    }
    assert key not in others
    assert len(others) == 3
    # fixed, so that a change of the recipe cannot pass unseen even where no study is pinned
    text = '{"parents":{"model":["a"]},"spec":{},"stage":"sft"}'
    assert key == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_reference_is_a_key_with_or_without_a_member() -> None:
    assert split_reference(KEY) == (KEY, "")
    assert split_reference(f"{KEY}:last-03") == (KEY, "last-03")


@pytest.mark.parametrize(("size", "blocks"), [(0, 0), (5, 0), (8, 0), (9, 2), (16, 2), (17, 3)])
def test_a_large_file_has_a_digest_per_block_and_its_own_depends_on_all(tmp_path: Path, size: int, blocks: int) -> None:
    path = tmp_path / "file"
    data = bytes(range(size))
    path.write_bytes(data)
    digest, of_blocks = digest_file(path, block_bytes=8)
    assert len(of_blocks) == blocks
    for number, of_block in enumerate(of_blocks):
        assert of_block == hashlib.sha256(data[number * 8 : number * 8 + 8]).hexdigest()
    if not blocks:
        assert digest == hashlib.sha256(data).hexdigest()
    if size:
        path.write_bytes(data[:-1] + b"\xff")
        assert digest_file(path, block_bytes=8)[0] != digest


def test_equal_files_have_equal_manifests_whatever_their_times(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        for inner in ("b", "a/c") if name == "one" else ("a/c", "b"):
            (folder / inner).parent.mkdir(parents=True, exist_ok=True)
            (folder / inner).write_text(inner)
        write_manifest(folder, "ipt", KEY, {"x": 1}, {})
        texts.append((folder / "manifest.json").read_bytes())
    assert texts[0] == texts[1]
    manifest = read_manifest(tmp_path / "one")
    assert check_files(tmp_path / "one", manifest) == []
    (tmp_path / "two/b").write_text("B")
    assert write_manifest(tmp_path / "two", "ipt", KEY, {"x": 1}, {}).digest != manifest.digest


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [{}]}', "nonsense"])
def test_a_manifest_that_is_none_is_an_error_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json: damaged .*`mixlab verify --repair`"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="not a whole artifact"):
        read_manifest(tmp_path)


def test_states_are_read_from_folders_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert read_states(store, ["ipt"]).complete == frozenset()
    for key in ("a" * 16, "b" * 16):
        store.folder("ipt", key).mkdir(parents=True)
    store.manifest_path("ipt", "a" * 16).write_text("{}")
    write_json(store.tombstone("ipt", "c" * 16), {})
    store.pointer("ipt", "d" * 16).parent.mkdir(parents=True)
    store.pointer("ipt", "d" * 16).touch()
    states = read_states(store, ["ipt", "sft"])
    assert states.complete == {("ipt", "a" * 16)}
    assert states.discarded == {("ipt", "c" * 16)}
    assert states.tracked == {("ipt", "d" * 16)}
    assert states.is_absent(("ipt", "d" * 16))
    assert not states.is_absent(("ipt", "a" * 16))
    assert [states.is_finished(("ipt", letter * 16)) for letter in "abcd"] == [True, False, True, True]


def test_provenance_is_many_per_key_beside_the_artifact_and_holds_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hidden-value")
    store = Store(tmp_path)
    with store.writing("ipt", KEY) as draft:
        assert draft is not None
        (draft.out / "model").write_bytes(b"weights")
        manifest = draft.publish({}, {})
    first = write_provenance(store, manifest, "a label 札", 1.0, "bytes", {"threads": 1})
    second = write_provenance(store, manifest, "a label 札", 2.0, "bytes", {"threads": 1})
    assert first != second
    assert first.parent == second.parent == tmp_path / "provenance/ipt" / KEY
    record = json.loads(first.read_text())
    assert (record["digest"], record["label"], record["seconds"]) == (manifest.digest, "a label 札", 1.0)
    assert {"python", "torch"} <= set(record["versions"])
    assert len(record["code_digest"]) == 64
    assert "hidden-value" not in first.read_text()
    assert store.open("ipt", KEY)


def test_the_commit_says_whether_files_differ_from_it(tmp_path: Path) -> None:
    assert read_commit(tmp_path) == ""
    identity = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
    (tmp_path / "file").write_text("one")
    for command in (("init",), ("add", "file"), ("commit", "--message", "first")):
        subprocess.run(["git", "-C", str(tmp_path), *identity, *command], check=True, capture_output=True)
    clean = read_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "file").write_text("two")
    assert read_commit(tmp_path) == f"{clean}+changes"
