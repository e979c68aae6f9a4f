"""The tested program's side: it runs a model's code and then answers what the checker asks of it.

Whatever the code does to this process (patched builtins, frames, tracing, memory) changes its own answers and nothing
else: the tests, the right answers and the verdict are in the checker, another process. Standard library only.
"""

import operator
import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from mixlab.evaluation.exchange import Channel, Gone, pack, unpack

_CHANGEABLE = (list, dict, set, bytearray)


class _Program:
    """The names a program has made, and the objects of its own that the checker knows by number."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self._held: list[Any] = []
        self.acts: dict[str, Callable[..., Any]] = {
            "define": self._define,
            "name": self._find,
            "call": lambda target, *given, **named: target(*given, **named),
            "getattr": getattr,
            "setattr": setattr,
            "getitem": operator.getitem,
            "len": len,
            "iter": iter,
            "next": next,
            "equal": operator.eq,
            "str": str,
        }

    def refer(self, value: Any) -> int:
        self._held.append(value)
        return len(self._held) - 1

    def resolve(self, number: int) -> Any:
        return self._held[number]

    def _define(self, source: str) -> None:
        exec(compile(source, "program.py", "exec"), self.names)

    def _find(self, name: str) -> Any:
        if name not in self.names:
            raise NameError(f"name '{name}' is not defined")
        return self.names[name]

    def do(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked; returns the packed result and the arguments it changed in place, by position."""
        given = [unpack(one, self.resolve) for one in request["given"]]
        named = {name: unpack(one, self.resolve) for name, one in request["named"].items()}
        before = [pack(one, self.refer) if type(one) in _CHANGEABLE else None for one in given]
        value = self.acts[request["act"]](*given, **named)
        after = [pack(one, self.refer) if type(one) in _CHANGEABLE else None for one in given]
        changed = [[at, new] for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        return {"value": pack(value, self.refer), "changed": changed}


def _describe(error: BaseException) -> dict[str, Any]:
    try:
        text = str(error)[:1000]
    except BaseException:  # noqa: BLE001 (a program's exception may fail to say what it is)
        text = ""
    return {"raised": type(error).__name__[:80], "text": text, "ordinary": isinstance(error, Exception)}


def answer(channel: Channel) -> NoReturn:
    """Answer until the checker ends; a process that the program forked ends where its parent would answer."""
    program, process = _Program(), os.getpid()
    while True:
        try:
            request = channel.receive()
        except Gone:
            os._exit(0)
        try:
            reply = program.do(request)
        except BaseException as error:  # noqa: BLE001 (how the program failed is the answer)
            reply = _describe(error)
        if os.getpid() != process:
            os._exit(0)
        channel.send(reply)
