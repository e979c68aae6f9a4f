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

from mixlab.config.problems import DataError, Problem
from mixlab.training.models.in_turn import InTurn, put_in_turn
from mixlab.training.models.shape import WEIGHTS_FILE
from mixlab.training.tensors.placing import PlacedFile
from mixlab.training.tensors.writing import count_bytes, map_weights, name_shards, split_shards

INDEX_FILE = "model.safetensors.index.json"
SHARD_BYTES = 5_000_000_000
"""Largest file that is written, unless one weight alone is larger; what the hub's tools take too."""
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


class StoredWeights(Mapping[str, Tensor]):
    """The weights of a model folder by name; each is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Open all files of `folder`; raises DataError for what is missing, broken or only there as a pickle."""
        self.path = folder / WEIGHTS_FILE
        self._files: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        # one whole file wins over an index, as in transformers
        wanted = None if self.path.is_file() or not (folder / INDEX_FILE).is_file() else _read_index(folder)
        if wanted is not None:
            self.path = folder / INDEX_FILE
        for name in sorted(set(wanted.values())) if wanted is not None else [WEIGHTS_FILE]:
            file = _open(folder / name)
            for weight in file.keys():  # noqa: SIM118 - not a mapping
                self._files[weight], self._names[weight] = file, name
        if wanted is not None and (lacking := sorted(wanted.keys() - self._files.keys())):
            raise DataError([Problem("is in none of the files it names", str(self.path), key=name) for name in lacking])

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._files[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._files))

    def __len__(self) -> int:
        return len(self._files)

    def held_by(self, file: str) -> dict[str, Tensor]:
        """The weights in one of the files, by name."""
        return {name: self[name] for name in self if self._names[name] == file}


def list_weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder, and their index where there is one.

    Raises DataError when there is none, or the index names one that is not there.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if not (folder / INDEX_FILE).is_file():
        raise DataError(_explain_absence(folder / WEIGHTS_FILE))
    paths = [folder / name for name in sorted(set(_read_index(folder).values()))]
    if problems := [_explain_absence(path) for path in paths if not path.is_file()]:
        raise DataError(problems)
    return [folder / INDEX_FILE, *paths]


def _read_index(folder: Path) -> dict[str, str]:
    path = folder / INDEX_FILE
    try:
        wanted = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = {str(weight): str(file) for weight, file in wanted.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(Problem(f"no readable index of weights ({error!r})", file=str(path))) from None
    for file in sorted(set(names.values())):
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise DataError(Problem(f"names {file!r}, which is no safetensors file beside it", file=str(path)))
    return names


def _open(path: Path) -> Any:
    if not path.is_file():
        raise DataError(_explain_absence(path))
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise DataError(Problem(f"no readable weights ({error}); write or fetch the file again", str(path))) from None


def _explain_absence(path: Path) -> Problem:
    pickles = sorted(one.name for pattern in _PICKLES for one in path.parent.glob(pattern))
    if pickles:
        return Problem(
            f"is not there, only {', '.join(pickles[:3])}: pickles can run code and are never opened; convert them "
            "elsewhere (transformers: from_pretrained, then save_pretrained), or take a revision with safetensors",
            str(path),
        )
    return Problem(
        f"no readable weights: it is not there; give a folder with {WEIGHTS_FILE} or {INDEX_FILE}", str(path)
    )


def write_weights(weights: InTurn, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Write weights into `folder`, in files of at most `shard_bytes`; raises OSError for a full disk and the like."""
    forms = weights.forms()
    shards = name_shards(split_shards(forms, shard_bytes))
    shard_of = map_weights(shards)
    with ExitStack() as stack:
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
