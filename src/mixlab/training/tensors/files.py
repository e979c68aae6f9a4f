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
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


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
    files that are missing, damaged or only there as pickles, and for an index that says anything else than its shards
    do, with every problem.
    """
    files = list_weight_files(folder)
    if files[0].name == SINGLE_FILE:
        return read_header(files[0])
    return _read_shards(folder / INDEX_FILE, files)


def list_weight_files(folder: Path) -> list[Path]:
    """List the files that hold a model folder's tensors, sorted; only the index is read.

    Raises DataError when there is none, for an index that cannot be followed, and for every shard that is not there.
    """
    single, index = folder / SINGLE_FILE, folder / INDEX_FILE
    if single.is_file():
        return [single]
    if not index.is_file():
        raise DataError(_explain_absence(single))
    paths = [folder / name for name in sorted(set(_read_index(index).values()))]
    if problems := [_explain_absence(path) for path in paths if not path.is_file()]:
        raise DataError(problems)
    return paths


def _explain_absence(path: Path) -> Problem:
    pickles = sorted(one.name for pattern in _PICKLES for one in path.parent.glob(pattern))
    if pickles:
        return Problem(
            f"is not there, only {', '.join(pickles[:3])}: pickles can run code and are never opened; convert them "
            "elsewhere (transformers: from_pretrained, then save_pretrained), or take a revision with safetensors",
            str(path),
        )
    cure = f"give a folder with {SINGLE_FILE}, or {INDEX_FILE} and all that it names"
    return Problem(f"no readable weights: it is not there; {cure}", str(path))


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of one safetensors file by name, sorted; raises DataError for one that cannot be read."""
    try:
        # The library checks the header's length, the dtypes, and that the tensors fill the file without a gap.
        with safe_open(path, framework="np"), path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(HEADER_LENGTH_BYTES), "little")
            header: dict[str, Any] = json.loads(file.read(header_bytes))
    except (OSError, SafetensorError) as error:
        message = f"no readable weights ({error}); write or fetch the file again"
        raise DataError(Problem(message, file=str(path))) from None
    header.pop("__metadata__", None)
    begin = HEADER_LENGTH_BYTES + header_bytes
    return {
        name: StoredTensor(TensorForm(one["dtype"], tuple(one["shape"])), path, begin + one["data_offsets"][0])
        for name, one in sorted(header.items())
    }


def _read_shards(index: Path, files: list[Path]) -> Tensors:
    shard_of = _read_index(index)
    found: dict[str, Mapping[str, StoredTensor]] = {}
    holders: dict[str, list[str]] = {name: [] for name in shard_of}
    problems: list[Problem] = []
    for path in files:
        try:
            found[path.name] = read_header(path)
        except DataError as error:
            problems += error.problems
            continue
        for name in found[path.name]:
            holders.setdefault(name, []).append(path.name)
    if not problems:
        places = ((name, shard_of.get(name), shards) for name, shards in sorted(holders.items()))
        problems = [_misplaced(index, *place) for place in places if place[2] != [place[1]]]
    if problems:
        raise DataError(problems)
    return {name: found[shard][name] for name, shard in sorted(shard_of.items())}


def _misplaced(index: Path, name: str, stated: str | None, holders: list[str]) -> Problem:
    there = ", ".join(holders)
    if stated is None:
        message = f"{there} holds it, but the index does not say so"
    elif not holders:
        message = f"the index puts it into {stated}, which does not hold it"
    else:
        message = f"the index puts it into {stated}, but it is in {there}"
    return Problem(message, file=str(index), key=name)


def _read_index(index: Path) -> dict[str, str]:
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(Problem(f"no readable index of weights ({error})", file=str(index))) from None
    shard_of = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shard_of, dict) or not shard_of:
        raise DataError(Problem("expected names of tensors and the shard of each", file=str(index), key="weight_map"))
    problems = [
        Problem(f"expected the name of a safetensors file beside the index, got {shard!r}", file=str(index), key=name)
        for name, shard in sorted(shard_of.items())
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors")
    ]
    if problems:
        raise DataError(problems)
    return shard_of
