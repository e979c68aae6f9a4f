"""Where two folders that should be equal first differ."""

from pathlib import Path

import pytest

from mixlab.artifacts.comparing import find_difference


def write(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


LARGE = bytes(range(256)) * 8192


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": b"one", "b": b"two"}, {"a": b"one", "b": b"two"}, ""),
        ({"a": b"one", "b": b"two"}, {"a": b"one", "b": b"txo"}, "b: differs from byte 1 on"),
        ({"a": b"one"}, {"a": b"onety"}, "a: differs from byte 3 on (3 bytes before, 5 now)"),
        ({"a": b""}, {"a": b"x"}, "a: differs from byte 0 on (0 bytes before, 1 now)"),
        ({"a": b"one", "last__b": b"x"}, {"a": b"one"}, "last/b: not made again"),
        ({"b": b"one"}, {"a": b"x", "b": b"two"}, "a: made now, and not there before"),
        ({"a": LARGE}, {"a": LARGE[:-1] + b"!"}, f"a: differs from byte {len(LARGE) - 1} on"),
    ],
)
def test_the_first_file_and_byte_that_differ_are_named(
    tmp_path: Path, old: dict[str, bytes], new: dict[str, bytes], told: str
) -> None:
    assert find_difference(write(tmp_path / "old", **old), write(tmp_path / "new", **new)) == told


def test_manifests_are_not_compared(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, a=b"one") for name in ("old", "new")]
    (folders[0] / "manifest.json").write_text("{}")
    assert find_difference(*folders) == ""
