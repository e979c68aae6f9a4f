"""Model folders written a stretch at a time: one safetensors file, or shards and their index; whole or not there.

Every file is written under a temporary name, put on disk, and renamed when all of them are there; the index, without
which shards are no model, comes last. What a failed or killed write leaves is never taken for a model.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mixlab.training.tensors.dtypes import STORED
from mixlab.training.tensors.faults import naming
from mixlab.training.tensors.files import HEADER_LENGTH_BYTES, INDEX_FILE, SINGLE_FILE, TensorForm

PARTIAL = ".partial"

Forms = Mapping[str, TensorForm]
Stretches = Callable[[str], Iterable[NDArray[Any]]]


def write_model_files(folder: Path, forms: Forms, shard_bytes: int | None, stretches: Stretches) -> None:
    """Write tensors, in the order and with the dtypes of `forms`, into an existing folder.

    `stretches` is asked for each name in turn and gives its elements in order, as arrays of any length in the dtype
    that is stored. `shard_bytes` is the most that a file's tensors take together, except for one tensor alone that
    takes more; None, and a model that fits into one shard, is one file. Weights of another layout that the folder
    holds are removed. Raises OSError naming the file, and ValueError when `stretches` gives too few or too many.
    """
    for left_by_a_kill in folder.glob(f"model*{PARTIAL}"):
        left_by_a_kill.unlink()
    shards = name_shards(split_shards(forms, shard_bytes))
    partials = {name: folder / (name + PARTIAL) for name in shards}
    with _removing_on_failure([*partials.values(), folder / (INDEX_FILE + PARTIAL)]):
        for name, part in shards.items():
            with naming(partials[name]), partials[name].open("wb", buffering=0) as file:
                _write_file(file, part, stretches)
        index = {"metadata": {"total_size": sum(map(count_bytes, forms.values()))}, "weight_map": map_weights(shards)}
        _remove_other_weights(folder, set(shards))
        for name, partial in partials.items():
            partial.replace(folder / name)
        if SINGLE_FILE not in shards:
            write_text(folder / INDEX_FILE, json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        _flush_folder(folder)


def write_text(path: Path, text: str) -> None:
    """Write a small file by temporary name and rename; raises OSError naming it."""
    partial = path.with_name(path.name + PARTIAL)
    with _removing_on_failure([partial]):
        with naming(partial), partial.open("wb", buffering=0) as file:
            _write_all(file, text.encode())
            os.fsync(file.fileno())
        partial.replace(path)


def count_bytes(form: TensorForm) -> int:
    """How many bytes a tensor takes in its file."""
    return form.elements * STORED[form.word].itemsize


def split_shards(forms: Forms, shard_bytes: int | None) -> list[dict[str, TensorForm]]:
    """Fill shards one after the other; a tensor that does not fit any more begins the next."""
    shards: list[dict[str, TensorForm]] = [{}]
    taken = 0
    for name, form in forms.items():
        size = count_bytes(form)
        if shard_bytes is not None and shards[-1] and taken + size > shard_bytes:
            shards.append({})
            taken = 0
        shards[-1][name] = form
        taken += size
    return shards


def name_shards(shards: list[dict[str, TensorForm]]) -> dict[str, dict[str, TensorForm]]:
    """Name the files as transformers does: one is model.safetensors, several are counted."""
    if len(shards) == 1:
        return {SINGLE_FILE: shards[0]}
    return {f"model-{at:05d}-of-{len(shards):05d}.safetensors": part for at, part in enumerate(shards, 1)}


def map_weights(shards: Mapping[str, Forms]) -> dict[str, str]:
    """Return the file of each tensor."""
    return {name: shard for shard, part in shards.items() for name in part}


def _write_file(file: BinaryIO, forms: Forms, stretches: Stretches) -> None:
    _write_all(file, render_header(forms))
    for name, form in forms.items():
        written = 0
        for values in stretches(name):
            if values.dtype != STORED[form.word]:
                raise ValueError(f"{name}: {values.dtype} given, {form} is stored as {STORED[form.word]}")
            written += values.size
            _write_all(file, np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
        if written != form.elements:
            raise ValueError(f"{name}: {written} elements given, {form} has {form.elements}")
    os.fsync(file.fileno())


def render_header(forms: Forms) -> bytes:
    """Return what a file begins with: the header's length, then form and place of each tensor, in the order given."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, form in forms.items():
        end = offset + count_bytes(form)
        header[name] = {"dtype": form.word, "shape": list(form.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(HEADER_LENGTH_BYTES, "little") + text


def _write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _remove_other_weights(folder: Path, kept: set[str]) -> None:
    (folder / INDEX_FILE).unlink(missing_ok=True)
    for path in [*folder.glob("model-*-of-*.safetensors"), folder / SINGLE_FILE]:
        if path.name not in kept:
            path.unlink(missing_ok=True)


@contextmanager
def _removing_on_failure(paths: Iterable[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
