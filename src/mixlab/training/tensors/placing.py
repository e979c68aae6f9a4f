"""A safetensors file whose tensors come one at a time, in any order; the bytes are those of safetensors' own writer."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from mixlab.training.tensors.dtypes import STORED
from mixlab.training.tensors.faults import naming
from mixlab.training.tensors.writing import Forms, count_bytes, render_header


class PlacedFile:
    """Every tensor has its place before the first one comes; a context, which ends with an error where one is missing.

    Raises OSError naming the file for a full disk and the like.
    """

    def __init__(self, path: Path, forms: Forms) -> None:
        self._path = path
        # safetensors' order of tensors that are all of one dtype
        self._forms = {name: forms[name] for name in sorted(forms)}
        header = render_header(self._forms)
        self._places: dict[str, int] = {}
        end = len(header)
        for name, form in self._forms.items():
            self._places[name] = end
            end += count_bytes(form)
        with naming(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            try:
                self._write(header, 0)
            except OSError:
                os.close(self._descriptor)
                raise

    def __enter__(self) -> "PlacedFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with naming(self._path):
            os.close(self._descriptor)
        if error is None and self._places:
            raise ValueError(f"{self._path}: nothing was given for {', '.join(sorted(self._places)[:3])}")

    def put(self, name: str, values: NDArray[Any]) -> None:
        """Write one tensor, contiguous and of the dtype that is stored; raises ValueError for another form."""
        form = self._forms[name]
        if values.dtype != STORED[form.word] or values.shape != form.shape:
            raise ValueError(f"{name}: {values.dtype} {values.shape} given, {form} is stored")
        with naming(self._path):
            self._write(values.reshape(-1).view("u1").data, self._places.pop(name))

    def _write(self, data: bytes | memoryview, place: int) -> None:
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self._descriptor, rest, place)
            rest, place = rest[count:], place + count
