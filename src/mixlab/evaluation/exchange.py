"""What the checker and the answerer say to one another inside the sandbox: one JSON message after its length.

Plain data travels by value. Anything else stays in the process that has it, and a number stands for it: so an object
that claims to equal everything never meets the test that would believe it. Runs without mixlab: standard library only.
"""

import builtins
import collections
import importlib
import json
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

LONGEST_BYTES = 32 * 2**20
_SEQUENCES: tuple[Any, ...] = (list, tuple, set, frozenset, collections.deque)
_BYTES: tuple[Any, ...] = (bytes, bytearray)
_EMPTY: dict[Any, Any] = {}
_KEYS: Any = type(_EMPTY.keys())
_ITEMS: Any = type(_EMPTY.items())
_DATES = {
    "date": ("year", "month", "day"),
    "datetime": ("year", "month", "day", "hour", "minute", "second", "microsecond"),
    "time": ("hour", "minute", "second", "microsecond"),
    "timedelta": ("days", "seconds", "microseconds"),
}
"""Classes of `datetime` that travel by value, each with what makes it; with a time zone or a fold they do not."""
_EXACT_IN_JSON = 2**53
_MODULES = """
bisect cmath collections copy datetime decimal fractions functools heapq itertools json math operator random re
statistics string typing
"""
"""Modules that a program may hand to the tests by name; each is imported anew where it is handed to."""
OWN_MODULES = frozenset({*_MODULES.split(), "sys"})
"""Modules that the tests have of their own, once the program has anything of that name."""

Refer = Callable[[Any], int]
"""Returns the number that stands for an object; raises TypeError for one that cannot be sent."""

Resolve = Callable[[int], Any]
"""Returns what a number stands for."""


class Gone(BaseException):
    """The other side has ended; no Exception, so that no test can swallow it."""


class Unreadable(Gone):
    """The other side says what nobody understands."""


class Channel:
    """Two pipes to the other side."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing

    def send(self, message: object) -> None:
        """Write a message; raises Gone when nobody reads any more."""
        data = json.dumps(message).encode()
        rest = memoryview(len(data).to_bytes(8, "big") + data)
        try:
            while rest:
                rest = rest[os.write(self._writing, rest) :]
        except OSError as error:
            raise Gone(str(error)) from None

    def receive(self) -> Any:
        """Read a message; raises Gone at the end, Unreadable for one that is too long or no JSON object or text."""
        size = int.from_bytes(read_exactly(self._reading, 8), "big")
        if size > LONGEST_BYTES:
            raise Unreadable(f"a message of {size} bytes")
        try:
            message = json.loads(read_exactly(self._reading, size))
        except (ValueError, RecursionError) as error:
            raise Unreadable(str(error)) from None
        if not isinstance(message, (dict, str)):
            raise Unreadable("neither an object nor a text")
        return message


def read_exactly(descriptor: int, size: int) -> bytes:
    """Read `size` bytes; raises Gone when there are fewer."""
    parts: list[bytes] = []
    while size:
        try:
            part = os.read(descriptor, min(size, 2**20))
        except OSError as error:
            raise Gone(str(error)) from None
        if not part:
            raise Gone("nothing more to read")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def pack(value: Any, refer: Refer) -> Any:
    """Return JSON for a value: data of builtin types, instances of their subclasses as those, the rest by number."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return int(value) if -_EXACT_IN_JSON < value < _EXACT_IN_JSON else ["int", hex(value)]
    if isinstance(value, str):
        return str.__str__(value)
    for kind in _SEQUENCES:
        if isinstance(value, kind):
            return [kind.__name__, [pack(one, refer) for one in kind.__iter__(value)]]
    if isinstance(value, dict):
        return ["dict", [[pack(key, refer), pack(one, refer)] for key, one in dict.items(value)]]
    for view in (_KEYS, _ITEMS):
        if isinstance(value, view):
            return [view.__name__, [pack(one, refer) for one in view.__iter__(value)]]
    for kind in _BYTES:
        if isinstance(value, kind):
            return [kind.__name__, kind.hex(value)]
    return _pack_rare(value, refer)


def _pack_rare(value: Any, refer: Refer) -> Any:
    if isinstance(value, complex):
        return ["complex", [value.real, value.imag]]
    if isinstance(value, range):
        return ["range", [pack(part, refer) for part in (value.start, value.stop, value.step)]]
    if isinstance(value, type) and vars(builtins).get(value.__name__, pack) is value:
        return ["type", value.__name__]
    if isinstance(value, ModuleType) and value.__name__ in _MODULES.split():
        return ["module", value.__name__]
    # neither module is loaded unless a program has asked for it
    for module, name in (("fractions", "Fraction"), ("decimal", "Decimal")):
        if module in sys.modules and type(value) is getattr(sys.modules[module], name):
            return [name, str(value)]
    if "datetime" in sys.modules and (parts := _read_date(value)) is not None:
        return [type(value).__name__, parts]
    return ["object", refer(value)]


def _read_date(value: Any) -> list[int] | None:
    """Return the numbers that make a date or a time; None for what is neither or has a time zone or a fold."""
    name = type(value).__name__
    if name not in _DATES or type(value) is not getattr(sys.modules["datetime"], name, None):
        return None
    if getattr(value, "tzinfo", None) is not None or getattr(value, "fold", False):
        return None
    return [getattr(value, part) for part in _DATES[name]]


def unpack(data: Any, resolve: Resolve) -> Any:
    """Return the value of JSON made by `pack`; raises ValueError for what `pack` does not make."""
    if not isinstance(data, list):
        if isinstance(data, dict):
            raise ValueError("no packed value")
        return data
    kind, inner = data
    for sequence in _SEQUENCES:
        if kind == sequence.__name__:
            return sequence(unpack(one, resolve) for one in inner)
    if kind == "dict":
        return {unpack(key, resolve): unpack(one, resolve) for key, one in inner}
    if kind == _KEYS.__name__:
        return dict.fromkeys(unpack(one, resolve) for one in inner).keys()
    if kind == _ITEMS.__name__:
        return dict(unpack(one, resolve) for one in inner).items()
    for text in _BYTES:
        if kind == text.__name__:
            return text.fromhex(inner)
    if kind == "object":
        return resolve(inner)
    return _unpack_rare(kind, inner, resolve)


def _unpack_rare(kind: str, inner: Any, resolve: Resolve) -> Any:
    if kind == "int":
        return int(inner, 16)
    if kind == "complex":
        return complex(*inner)
    if kind == "range":
        return range(*(unpack(part, resolve) for part in inner))
    if kind == "type" and isinstance(found := vars(builtins).get(inner), type):
        return found
    if kind == "module" and inner in _MODULES.split():
        return importlib.import_module(inner)
    if kind in ("Fraction", "Decimal"):
        return getattr(importlib.import_module("fractions" if kind == "Fraction" else "decimal"), kind)(inner)
    if kind in _DATES and len(inner) == len(_DATES[kind]):
        return getattr(importlib.import_module("datetime"), kind)(*map(int, inner))
    raise ValueError("no packed value")
