"""Tensors read as float32, any stretch of any tensor, into memory that the caller keeps."""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixlab.config.problems import DataError, Problem
from mixlab.training.tensors.dtypes import FLOAT32, STORED, Floats, widen
from mixlab.training.tensors.faults import naming
from mixlab.training.tensors.files import StoredTensor

OPEN_FILES = 128


class FloatReader:
    """Reads stretches of tensors; a context, because it keeps the files last used open, at most `OPEN_FILES`."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, int] = OrderedDict()
        self._scratch = np.empty(0, np.uint8)

    def __enter__(self) -> "FloatReader":
        return self

    def __exit__(self, *details: object) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self, tensor: StoredTensor, first: int, out: Floats) -> None:
        """Fill `out` (one axis, contiguous) with the elements from `first` on, in the tensor's own order.

        The tensor's dtype must be one of `STORED`. Raises OSError naming the file, and DataError for one that ends
        before the stretch does.
        """
        stored = STORED[tensor.form.word]
        offset_bytes = tensor.offset_bytes + first * stored.itemsize
        if stored == FLOAT32:
            self._fill(tensor.path, offset_bytes, out)
            return
        raw = self._borrow(out.size * stored.itemsize).view(stored)
        self._fill(tensor.path, offset_bytes, raw)
        widen(raw, tensor.form.word, out)

    def _borrow(self, size_bytes: int) -> NDArray[np.uint8]:
        if self._scratch.size < size_bytes:
            self._scratch = np.empty(size_bytes, np.uint8)
        return self._scratch[:size_bytes]

    def _fill(self, path: Path, offset_bytes: int, out: NDArray[Any]) -> None:
        # not mapped into memory: a mapped file that shrinks kills the process, and a read error does as well
        rest = out.view(np.uint8).data
        with naming(path):
            descriptor = self._descriptor(path)
            while rest:
                count = os.preadv(descriptor, [rest], offset_bytes)
                if not count:
                    raise DataError(Problem("ends before its header says; it was changed meanwhile", file=str(path)))
                rest, offset_bytes = rest[count:], offset_bytes + count

    def _descriptor(self, path: Path) -> int:
        if path not in self._open:
            if len(self._open) >= OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._open.move_to_end(path)
        return self._open[path]
