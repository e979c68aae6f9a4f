"""The mean of several models, one tensor at a time, without torch (unless a member is bfloat16)."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from mixlab.config.problems import DataError, Problem
from mixlab.config.training import AveragingSettings
from mixlab.training.models.shape import CONFIG_FILE, WEIGHTS_FILE

Floats = NDArray[np.float32]

_FLOATING = ("F32", "F16", "BF16", "F64")


def average(models: Sequence[Path], out: Path, settings: AveragingSettings) -> None:
    """Write the mean of `models` (newest first) into `out`: config.json and model.safetensors in float32.

    The sum is float32 and runs in the order given. Raises DataError naming every configuration entry, weight,
    shape and dtype in which a model differs from the first.
    """
    if len(models) != settings.last:
        raise DataError(f"average: last is {settings.last}, but {len(models)} models were given")
    config = _read_config(models)
    with ExitStack() as stack:
        members = [stack.enter_context(_Member(model)) for model in models]
        _check_alike(members)
        out.mkdir(parents=True, exist_ok=True)
        _write_mean(members, out / WEIGHTS_FILE)
    config |= {"dtype": "float32", "torch_dtype": "float32"}
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
    (out / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


class _Member:
    """One open model folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / WEIGHTS_FILE
        try:
            # A first look at the header; framework "pt" would import torch here.
            with safe_open(self.path, framework="np") as file:
                slices = {name: file.get_slice(name) for name in sorted(file.keys())}
                self.kinds = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
        except (OSError, SafetensorError) as error:
            raise DataError(Problem(f"no readable weights ({error})", file=str(self.path))) from None
        self._is_bfloat16 = any(dtype == "BF16" for dtype, _ in self.kinds.values())

    def __enter__(self) -> "_Member":
        opened: Any = safe_open(self.path, framework="pt" if self._is_bfloat16 else "np")
        self._file = opened.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._file.__exit__(*details)

    def read(self, name: str) -> Floats:
        """One weight as float32."""
        tensor = self._file.get_tensor(name)
        array: Floats = (tensor.float().numpy() if self._is_bfloat16 else tensor).astype(np.float32, copy=False)
        return array


def _read_config(models: Sequence[Path]) -> dict[str, Any]:
    try:
        configs = [json.loads((model / CONFIG_FILE).read_text(encoding="utf-8")) for model in models]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"average: {error}") from None
    first: dict[str, Any] = configs[0]
    problems = [
        Problem(
            f"is {config.get(key)!r}, but {first.get(key)!r} in {models[0] / CONFIG_FILE}; "
            "average snapshots of one run only",
            file=str(model / CONFIG_FILE),
            key=key,
        )
        for model, config in zip(models, configs, strict=True)
        for key in sorted(first.keys() | config.keys())
        if config.get(key) != first.get(key)
    ]
    if problems:
        raise DataError(problems)
    return first


def _check_alike(members: Sequence[_Member]) -> None:
    first = members[0]
    problems = [
        Problem(f"is {dtype}; only floating point can be averaged", file=str(first.path), key=name)
        for name, (dtype, _) in first.kinds.items()
        if dtype not in _FLOATING
    ]
    for member in members[1:]:
        for name in sorted(first.kinds.keys() | member.kinds.keys()):
            here, there = member.kinds.get(name), first.kinds.get(name)
            if here != there:
                shown = [f"{kind[0]} {kind[1]}" if kind else "missing" for kind in (here, there)]
                problems.append(
                    Problem(f"is {shown[0]}, but {shown[1]} in {first.path}", file=str(member.path), key=name)
                )
    if problems:
        raise DataError(problems)


def _write_mean(members: Sequence[_Member], path: Path) -> None:
    """Write a safetensors file as it is computed, so that one weight of each model is in memory, not all.

    Format: https://github.com/huggingface/safetensors#format (length of the header, header, data).
    """
    shapes = {name: shape for name, (_, shape) in members[0].kinds.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        end = offset + 4 * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        _write_arrays(file, (_mean(members, name) for name in shapes))


def _write_arrays(file: BinaryIO, arrays: Iterator[Floats]) -> None:
    for array in arrays:
        file.write(array.astype("<f4", copy=False).tobytes())


def _mean(members: Sequence[_Member], name: str) -> Floats:
    total = members[0].read(name).copy()
    for member in members[1:]:
        total += member.read(name)
    total /= np.float32(len(members))
    return total
