"""The tests' side: it runs an item's tests, asks the tested program for each answer, and alone gives the verdict.

It never runs a line of a model's code. It shares no memory, no user and no process namespace with the program; of the
program it sees data, and numbers that stand for the program's own objects. Standard library only.
"""

import ast
import builtins
import importlib
from collections import Counter
from collections.abc import Mapping
from types import CodeType, ModuleType
from typing import Any

from mixlab.evaluation.exchange import OWN_MODULES, Channel, Gone, Unreadable, pack, unpack

PASSED, GONE, NO_ANSWER = "passed", "gone", "sandbox did not answer"
READY = "ready"


class Remote:
    """An object of the tested program. It equals only objects of the program's own, and never plain data."""

    __slots__ = ("_asker", "_number")

    def __init__(self, asker: "Asker", number: int) -> None:
        object.__setattr__(self, "_asker", asker)
        object.__setattr__(self, "_number", number)

    def __call__(self, /, *given: Any, **named: Any) -> Any:
        return self._asker.ask("call", self, *given, **named)

    def __getattr__(self, name: str) -> Any:
        return self._asker.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._asker.ask("setattr", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._asker.ask("getitem", self, key)

    def __iter__(self) -> Any:
        return self._asker.ask("iter", self)

    def __next__(self) -> Any:
        return self._asker.ask("next", self)

    def __len__(self) -> int:
        return int(self._asker.ask("len", self))

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return str(self._asker.ask("str", self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Remote):
            return False
        return self._number == other._number or self._asker.ask("equal", self, other) is True

    def __hash__(self) -> int:
        return 0


class Asker:
    """Asks the program, one question at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def ask(self, act: str, /, *given: Any, **named: Any) -> Any:
        """Return the program's answer, or raise what it raised; arguments that it changed in place are changed."""
        packed = [pack(one, self._refer) for one in given]
        self._channel.send(
            {"act": act, "given": packed, "named": {name: pack(one, self._refer) for name, one in named.items()}}
        )
        reply = self._channel.receive()
        try:
            error = _read_error(reply)
            if error is None:
                for at, new in reply["changed"]:
                    _replace(given[at], unpack(new, self._resolve))
                return unpack(reply["value"], self._resolve)
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as fault:
            raise Unreadable(f"{type(fault).__name__} in its message") from None
        raise error

    def _resolve(self, number: int) -> Remote:
        return Remote(self, int(number))

    def _refer(self, value: Any) -> int:
        if not isinstance(value, Remote):
            raise TypeError(f"a test gives the program a {type(value).__name__}, which cannot leave the checker")
        return int(value._number)


class Names(dict[str, Any]):
    """The names of the tests; one that is neither theirs nor Python's, or is `tested`, is the program's."""

    def __init__(self, asker: Asker) -> None:
        super().__init__(__name__="__main__")
        self._asker = asker
        self.tested: frozenset[str] = frozenset()
        self.modules: Mapping[str, ModuleType] = {}

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) and name not in self.tested:
            raise KeyError(name)
        try:
            found = self._asker.ask("name", name)
        except NameError:
            raise KeyError(name) from None
        # as published, the program must have imported it: what it has imported is another matter
        return self.modules.get(name, found)


def _replace(old: Any, new: Any) -> None:
    if isinstance(old, (list, bytearray)):
        old[:] = new
    elif isinstance(old, (dict, set)):
        old.clear()
        old.update(new)
    else:
        raise ValueError("the program changed what cannot change")


def _read_error(reply: Any) -> BaseException | None:
    """Return the exception that a reply tells of, if it does."""
    if "raised" not in reply:
        return None
    return _build_error(str(reply["raised"]), str(reply["text"]), ordinary=bool(reply["ordinary"]))


def _build_error(name: str, text: str, *, ordinary: bool) -> BaseException:
    """Return an exception of the builtin class of that name, or of a new one; Exceptions only where it was one."""
    base: type[BaseException] = Exception if ordinary else BaseException
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, base):
        try:
            return known(text)
        except TypeError:
            pass  # UnicodeDecodeError and its like are not made from one text
    made: BaseException = type(name if name.isidentifier() else "Exception", (base,), {})(text)
    return made


def run_given(given: str, names: Names) -> None:
    """Run the trusted code that the tests may use: the item's prompt, where it is a program of its own.

    A prompt that stops in the middle of a statement gives nothing; then its names are the program's.
    """
    try:
        code = compile(given, "given.py", "exec")
    except (SyntaxError, ValueError):
        return
    try:
        exec(code, names)
    except Gone:
        raise
    except BaseException:  # noqa: BLE001 (an item's prompt that fails alone gives what it defined until then)
        return


def find_tested(entry_point: str, code: CodeType) -> frozenset[str]:
    """Return the names that are the program's though Python has them too.

    Without an entry point: all that the tests use, where Python has every one. MBPP/126 asks for a function `sum` and
    tests nothing else, while `len(f(1)) == 2` is no test of a program's own `len`.
    """
    if entry_point:
        return frozenset({entry_point})
    return frozenset(code.co_names) if all(hasattr(builtins, name) for name in code.co_names) else frozenset()


def find_modules(tests: str) -> dict[str, ModuleType]:
    """Return the standard modules that the tests use: names of which they take nothing but attributes that those have.

    MBPP/596 compares with `sys.getsizeof(...)` and leaves the import to the program, which could define another `sys`.
    """
    attributes: dict[str, set[str]] = {}
    bare: Counter[str] = Counter()
    for node in ast.walk(ast.parse(tests)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            attributes.setdefault(node.value.id, set()).add(node.attr)
            bare[node.value.id] -= 1
        elif isinstance(node, ast.Name):
            bare[node.id] += 1
    modules = {
        name: importlib.import_module(name) for name in sorted(attributes) if name in OWN_MODULES and not bare[name]
    }
    return {name: module for name, module in modules.items() if all(hasattr(module, one) for one in attributes[name])}


def check(order: Mapping[str, str], channel: Channel) -> str:
    """Return the verdict on a program: `passed`, `raised ...`, or that it is gone."""
    try:
        hello = channel.receive()
        if hello != READY:
            return f"{NO_ANSWER}: {str(hello)[:200]}"
        asker = Asker(channel)
        asker.ask("define", order["source"])
        if order["tests"]:
            names = Names(asker)
            run_given(order["given"], names)
            code = compile(order["tests"], "tests.py", "exec")
            names.modules = find_modules(order["tests"])
            names.tested = find_tested(order["entry_point"], code)
            names.pop(order["entry_point"], None)
            exec(code, names)
    except Unreadable as error:
        return f"answered what cannot be read: {error}"
    except Gone:
        return GONE
    except BaseException as error:  # noqa: BLE001 (how the tests ended is the verdict)
        return f"raised {type(error).__name__}"
    return PASSED
