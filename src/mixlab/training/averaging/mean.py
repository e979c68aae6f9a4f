"""The mean of several models, a stretch of one tensor at a time, without torch.

Of each model a stretch of at most `STRETCH` numbers is in memory, whatever the size of the tensors.
"""

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixlab.config.averaging import AveragingSettings
from mixlab.config.problems import DataError, Problem
from mixlab.training.averaging.agreement import check_base, check_members, read_common_config
from mixlab.training.averaging.record import RECORD_FILE, build_record, is_plain
from mixlab.training.models.shape import CONFIG_FILE
from mixlab.training.tensors.dtypes import FLOAT32, WORDS, Floats, narrow
from mixlab.training.tensors.files import TensorForm, Tensors, find_tensors
from mixlab.training.tensors.reading import FloatReader
from mixlab.training.tensors.writing import write_model_files, write_text

STRETCH = 1 << 20


def average(
    models: Sequence[Path],
    out: Path,
    settings: AveragingSettings,
    *,
    base: Path | None = None,
    every_steps: int | None = None,
) -> None:
    """Write the mean of `models` (newest first) into `out`: config.json and weights in the dtype asked for.

    The sum is float32 and runs in the order given. `base` is the model that `delta_scale` asks for, `every_steps` the
    distance of two snapshots, where it is known. Any form but the plain mean (uniform, float32, one file) says what it
    is in averaging.json. Raises DataError naming every configuration entry, weight, shape and dtype in which a model
    differs from the first, and the weight that holds NaN or infinity or leaves the range of float32 or of the dtype;
    OSError naming the file for a full disk and the like.
    """
    _check_folders(models, out, settings, base)
    config = read_common_config(models)
    members = [find_tensors(model) for model in models]
    check_members(models, members)
    origin = find_tensors(base) if base is not None else None
    if base is not None and origin is not None:
        check_base(base, origin, members[0], config)
    out.mkdir(parents=True, exist_ok=True)
    word = WORDS[settings.dtype]
    forms = {name: TensorForm(word, tensor.form.shape) for name, tensor in members[0].items()}
    with FloatReader() as reader:
        mean = _Mean(reader, members, origin, settings)
        write_model_files(out, forms, settings.shard_bytes, mean.stretches)
    _write_json(out / CONFIG_FILE, config | {"dtype": settings.dtype, "torch_dtype": settings.dtype})
    if not is_plain(settings):
        _write_json(out / RECORD_FILE, build_record(settings, every_steps))


def _check_folders(models: Sequence[Path], out: Path, settings: AveragingSettings, base: Path | None) -> None:
    if len(models) != settings.last:
        raise DataError(f"average: last is {settings.last}, but {len(models)} models were given")
    if (base is None) != (settings.delta_scale is None):
        said = "asks for a base model, but none was given" if base is None else "is null, but a base model was given"
        raise DataError(f"average: delta_scale {said}")
    given = [model.resolve() for model in (*models, *([base] if base is not None else []))]
    if out.resolve() in given:
        raise DataError(f"average: {out} is one of the models that are read; write the result elsewhere")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def scale_coefficients(coefficients: Sequence[Fraction]) -> tuple[Floats, np.float32]:
    """Return the coefficients as float32 and what their weighted sum is to be divided by.

    All are multiplied by one power of two, so that the largest lies in [1, 2): nothing is rounded by that, and the sum
    is no larger than it must be. Equal ones stay 1, so the sum of a uniform mean is not multiplied at all.
    """
    largest = max(coefficients)
    power = largest.numerator.bit_length() - largest.denominator.bit_length()
    power -= largest < Fraction(2) ** power
    scaled = np.array([float(one / Fraction(2) ** power) for one in coefficients], dtype=FLOAT32)
    return scaled, np.float32(scaled.sum(dtype=np.float64))


class _Mean:
    """The mean of one tensor after the other, in memory that is used again."""

    def __init__(
        self, reader: FloatReader, members: Sequence[Tensors], base: Tensors | None, settings: AveragingSettings
    ) -> None:
        self._reader, self._members, self._base = reader, members, base
        self._word, self._scale = WORDS[settings.dtype], settings.delta_scale
        self._coefficients, self._divisor = scale_coefficients(settings.coefficients())
        size = min(STRETCH, max((tensor.form.elements for tensor in members[0].values()), default=0))
        self._total, self._part = np.empty(size, FLOAT32), np.empty(size, FLOAT32)

    def stretches(self, name: str) -> Iterator[NDArray[Any]]:
        """Yield the mean of one tensor in the dtype that is stored; a stretch lasts until the next is asked for."""
        elements = self._members[0][name].form.elements
        for first in range(0, elements, STRETCH):
            count = min(STRETCH, elements - first)
            total, part = self._total[:count], self._part[:count]
            with np.errstate(all="ignore"):
                self._sum(name, first, total, part)
                total /= self._divisor
                self._scale_delta(name, first, total, part)
            if not np.isfinite(total).all():
                raise DataError(self._find_culprit(name, first, part))
            try:
                yield narrow(total, self._word)
            except OverflowError:
                message = f"the result is beyond {self._word}; ask for another dtype, bfloat16 or float32"
                raise DataError(Problem(message, file="average", key=name)) from None

    def _sum(self, name: str, first: int, total: Floats, part: Floats) -> None:
        coefficients = self._coefficients
        self._reader.read(self._members[0][name], first, total)
        if coefficients[0] != 1:
            total *= coefficients[0]
        for member, coefficient in zip(self._members[1:], coefficients[1:], strict=True):
            self._reader.read(member[name], first, part)
            if coefficient != 1:
                part *= coefficient
            total += part

    def _scale_delta(self, name: str, first: int, total: Floats, part: Floats) -> None:
        if self._base is None or self._scale is None:
            return
        self._reader.read(self._base[name], first, part)
        total -= part
        total *= np.float32(float(self._scale))
        total += part

    def _find_culprit(self, name: str, first: int, part: Floats) -> list[Problem]:
        """Say which models hold what is not finite; any that do have spoilt the sum, so it is looked for only then."""
        found = []
        for member in [*self._members, *([self._base] if self._base is not None else [])]:
            self._reader.read(member[name], first, part)
            (wrong,) = np.nonzero(~np.isfinite(part))
            if wrong.size:
                what = "NaN" if np.isnan(part[wrong[0]]) else "infinity"
                message = f"holds {what} at element {first + int(wrong[0])}, so the mean would too; no mean is written"
                found.append(Problem(message, file=str(member[name].path), key=name))
        return found or [Problem("the sum of the models is beyond float32", file="average", key=name)]
