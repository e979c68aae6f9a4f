"""Pointers, and the list of those whose data is lost."""

from pathlib import Path

import pytest

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.pointers import Pointer, drop_pointers, list_pointers, parse_pointer, read_pointer
from mixlab.artifacts.pointers import write_pointer as store_pointer
from mixlab.artifacts.recompute import read_recompute, write_recompute
from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store

KEY = "0123456789012345"
OTHER = "89db06905f4b250e"
OID = "8e4655fcc53c70b58e74c088f1632e73.dir"


def render(key: str, oid: str = OID) -> str:
    return f"wdir: ../../artifacts/ipt\nouts:\n- md5: {oid}\n  size: 1007\n  nfiles: 3\n  hash: md5\n  path: {key}\n"


def write_pointer(store: Store, key: str, text: str) -> None:
    path = store.pointer("ipt", key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("written", [KEY, f"'{KEY}'"])
def test_a_key_of_digits_only_is_read_quoted_or_not(tmp_path: Path, written: str) -> None:
    store = Store(tmp_path)
    write_pointer(store, KEY, render(written))
    assert read_pointer(store, ("ipt", KEY)) == Pointer("ipt", KEY, OID, 1007, 3)


@pytest.mark.parametrize("key", [KEY, OTHER, "12345678901234e5"])
def test_a_pointer_is_written_as_dvc_reads_it_and_in_one_form(tmp_path: Path, key: str) -> None:
    from dvc.utils.serialize import loads_yaml

    store, pointer = Store(tmp_path), Pointer("ipt", key, OID, 1007, 3)
    store_pointer(store, pointer)
    text = store.pointer("ipt", key).read_text()
    assert read_pointer(store, ("ipt", key)) == pointer
    assert loads_yaml(text)["outs"] == [{"md5": OID, "size": 1007, "nfiles": 3, "hash": "md5", "path": key}]
    assert text.replace(f"'{key}'", key) == render(key)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [store.pointer("ipt", key)]


@pytest.mark.parametrize(
    "edited",
    [render(f'"{KEY}"'), render(KEY).replace("\n", "\r\n"), render(KEY).replace(OID, f"'{OID}'  # of gpu01")],
    ids=["double quotes", "Windows", "comment"],
)
def test_a_pointer_that_was_edited_by_hand_or_on_windows_says_the_same(edited: str) -> None:
    assert parse_pointer("ipt", KEY, edited) == Pointer("ipt", KEY, OID, 1007, 3)


def test_bytes_that_are_no_text_and_numbers_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.pointer("ipt", KEY)
    for spoiled in (render(KEY).replace("1007", "1 MB").encode(), b"\xff\xfe\0"):
        write_pointer(store, KEY, "")
        path.write_bytes(spoiled)
        with pytest.raises(ArtifactError, match=rf"tracked/ipt/{KEY}\.dvc: not a pointer"):
            read_pointer(store, ("ipt", KEY))
    path.unlink()
    path.mkdir()
    with pytest.raises(ArtifactError, match=rf"tracked/ipt/{KEY}\.dvc: not a pointer"):
        read_pointer(store, ("ipt", KEY))


@pytest.mark.parametrize(
    "text",
    ["", render(OTHER), render(KEY, "8e4655fcc53c70b58e74c088f1632e73"), "<<<<<<< main\n" + render(KEY)[40:]],
    ids=["empty", "of another artifact", "to a file", "in conflict"],
)
def test_what_is_no_pointer_to_the_artifact_is_refused_by_name(text: str) -> None:
    with pytest.raises(ArtifactError, match=rf"tracked/ipt/{KEY}\.dvc"):
        parse_pointer("ipt", KEY, text)


def test_an_artifact_without_a_pointer_is_said_not_to_be_tracked(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"ipt {KEY}: not tracked"):
        read_pointer(Store(tmp_path), ("ipt", KEY))


def test_dropping_pointers_leaves_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in (KEY, OTHER):
        write_pointer(store, key, render(key))
    assert drop_pointers(store, [("ipt", KEY), ("sft", OTHER)]) == [store.pointer("ipt", KEY)]
    assert list_pointers(store) == [("ipt", OTHER)]


def test_a_pointer_whose_data_is_lost_does_not_count_as_tracked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in (KEY, OTHER):
        write_pointer(store, key, render(key))
    write_recompute(store, [("ipt", KEY)])
    assert read_states(store, ["ipt"]).tracked == {("ipt", OTHER)}
    write_recompute(store, [])
    assert read_states(store, ["ipt"]).tracked == {("ipt", KEY), ("ipt", OTHER)}
    assert list(store.work.iterdir()) == []


def test_a_damaged_list_of_lost_artifacts_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_recompute(store, [("ipt", KEY)])
    (store.work / "recompute.json").write_text("[[")
    with pytest.raises(ArtifactError, match=r"recompute\.json: damaged"):
        read_recompute(store)
