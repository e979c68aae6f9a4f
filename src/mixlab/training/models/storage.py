"""Safetensors files of a model folder: one file or several with an index, read lazily, written whole.

model.safetensors                                   one file, or
model-00001-of-00003.safetensors, ...               several, and
model.safetensors.index.json                        which of them holds which weight
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mixlab.training.models.in_turn import InTurn, put_in_turn, told_when_long
from mixlab.training.tensors.files import INDEX_FILE, SINGLE_FILE, find_tensors
from mixlab.training.tensors.placing import PlacedFile
from mixlab.training.tensors.writing import count_bytes, map_weights, name_shards, split_shards

SHARD_BYTES = 5_000_000_000
"""Largest file that is written, unless one weight alone is larger; what the hub's tools take too."""


class StoredWeights(Mapping[str, Tensor]):
    """The weights of a model folder by name; each is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Open all files of `folder`; raises DataError as `find_tensors` does."""
        self._tensors = find_tensors(folder)
        paths = sorted({tensor.path for tensor in self._tensors.values()})
        self._files: dict[Path, Any] = {path: safe_open(path, framework="pt") for path in paths}
        self.path = folder / (SINGLE_FILE if (folder / SINGLE_FILE).is_file() else INDEX_FILE)

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._files[self._tensors[name].path].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def held_by(self, path: Path) -> dict[str, Tensor]:
        """The weights in one of the files, by name."""
        return {name: self[name] for name in self if self._tensors[name].path == path}

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a weight, which is not read for it."""
        return self._tensors[name].form.shape


def write_weights(weights: InTurn, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Write weights into `folder`, in files of at most `shard_bytes`; raises OSError for a full disk and the like."""
    forms = weights.forms()
    shards = name_shards(split_shards(forms, shard_bytes))
    shard_of = map_weights(shards)
    with told_when_long(weights, folder), ExitStack() as stack:
        files = {shard: stack.enter_context(PlacedFile(folder / shard, part)) for shard, part in shards.items()}
        put_in_turn(weights, {name: files[shard] for name, shard in shard_of.items()})
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(map(count_bytes, forms.values()))}, "weight_map": shard_of}
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write one safetensors file; raises OSError, with its number and `path`, for a full disk and the like."""
    with told_as_os_errors(path):
        save_file(tensors, path, metadata={"format": "pt"})


@contextmanager
def told_as_os_errors(path: Path) -> Iterator[None]:
    """Turn what safetensors raises for a full disk and the like into the OSError it was."""
    try:
        yield
    except SafetensorError as error:
        # Their message ends in "(os error 28)".
        if match := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(match[1]), os.strerror(int(match[1])), str(path)) from error
        raise
