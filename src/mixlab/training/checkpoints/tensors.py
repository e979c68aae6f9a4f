"""Named tensors in the safetensors files of a folder, one file or one per rank, read one tensor at a time."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor


class StoredTensors(Mapping[str, Tensor]):
    """All tensors of `stem.safetensors`, or of `stem.rank-00001-of-00004.safetensors` and so on; a context manager."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._paths = sorted([*folder.glob(f"{stem}.safetensors"), *folder.glob(f"{stem}.rank-*-of-*.safetensors")])
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}

    def __enter__(self) -> "StoredTensors":
        for path in self._paths:
            file = self._stack.enter_context(safe_open(path, framework="pt"))
            self._files |= dict.fromkeys(file.keys(), file)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._files[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
