"""What a model folder's safetensors files hold: one file, or shards and the index that names them.

Format: https://github.com/huggingface/safetensors#format (length of the header, header, data).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from mixlab.config.problems import DataError, Problem

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
HEADER_LENGTH_BYTES = 8


@dataclass(frozen=True)
class TensorForm:
    """Dtype, by safetensors' word, and shape of one tensor."""

    word: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many numbers it holds; a scalar holds one."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.word} {self.shape}"


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies: a file, and the bytes from its beginning to the tensor's first."""

    form: TensorForm
    path: Path
    offset_bytes: int


Tensors = Mapping[str, StoredTensor]


def find_tensors(folder: Path) -> Tensors:
    """Return the tensors of a model folder by name, sorted; only headers and index are read.

    As transformers does, `model.safetensors` is taken where it is, else what the index names. Raises DataError for
    files that are missing or damaged, and for an index that says anything else than its shards do.
    """
    index = folder / INDEX_FILE
    if (folder / SINGLE_FILE).exists() or not index.exists():
        return read_header(folder / SINGLE_FILE)
    return _read_shards(index)


def list_weight_files(folder: Path) -> list[Path]:
    """List the files that hold a model folder's tensors, sorted; raises DataError as `find_tensors` does."""
    return sorted({tensor.path for tensor in find_tensors(folder).values()})


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of one safetensors file by name, sorted; raises DataError for one that cannot be read."""
    try:
        # The library checks the header's length, the dtypes, and that the tensors fill the file without a gap.
        with safe_open(path, framework="np"), path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(HEADER_LENGTH_BYTES), "little")
            header: dict[str, Any] = json.loads(file.read(header_bytes))
    except (OSError, SafetensorError) as error:
        raise DataError(Problem(f"no readable weights ({error})", file=str(path))) from None
    header.pop("__metadata__", None)
    begin = HEADER_LENGTH_BYTES + header_bytes
    return {
        name: StoredTensor(TensorForm(one["dtype"], tuple(one["shape"])), path, begin + one["data_offsets"][0])
        for name, one in sorted(header.items())
    }


def _read_shards(index: Path) -> Tensors:
    shard_of = _read_index(index)
    found = {shard: read_header(index.parent / shard) for shard in sorted(set(shard_of.values()))}
    problems = [
        Problem(f"the index puts it into {shard}, which does not hold it", file=str(index), key=name)
        for name, shard in sorted(shard_of.items())
        if name not in found[shard]
    ]
    problems += [
        Problem(f"{shard} holds it, but the index does not say so", file=str(index), key=name)
        for shard, tensors in found.items()
        for name in tensors
        if shard_of.get(name) != shard
    ]
    if problems:
        raise DataError(problems)
    return {name: found[shard][name] for name, shard in sorted(shard_of.items())}


def _read_index(index: Path) -> dict[str, str]:
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(Problem(f"no readable index ({error})", file=str(index))) from None
    shard_of = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shard_of, dict) or not shard_of:
        raise DataError(Problem("expected names of tensors and the shard of each", file=str(index), key="weight_map"))
    problems = [
        Problem(f"expected the name of a file beside the index, got {shard!r}", file=str(index), key=name)
        for name, shard in sorted(shard_of.items())
        if not isinstance(shard, str) or Path(shard).name != shard
    ]
    if problems:
        raise DataError(problems)
    return shard_of
