"""Task files of lm-eval, read without lm-eval: found by name, `include:` resolved, code of `!function` attached.

They are YAML 1.1, as lm-eval reads them. Nothing is run: a function becomes {"!function": name, "digest": …}, where the
digest names the bytes of its file. Every file must lie below the folder that is searched.
"""

import ast
import hashlib
import importlib.util
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mixlab.config.lm_eval_task import DIGEST, FUNCTION, RELEASE, TaskCode
from mixlab.config.problems import ConfigError, Problem, did_you_mean

MAX_VALUES = 100_000
_IGNORED = {"__pycache__", ".ipynb_checkpoints"}
_CODE = "use a benchmark with the scorer python_tests"
_INSTALL = f"pip install 'lm_eval=={RELEASE}'"


@dataclass(frozen=True)
class _Function:
    """`!function module.name`, not yet looked for."""

    named: str


class _Loader(yaml.CSafeLoader):
    """lm-eval's YAML: plain values and the one tag."""


def _construct_function(loader: _Loader, node: yaml.Node) -> _Function:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "!function needs module.name", node.start_mark)
    return _Function(str(node.value))


_Loader.add_constructor(FUNCTION, _construct_function)


@dataclass(frozen=True)
class TaskFile:
    """A task as its files say it: every key, and every Python file its functions come from by digest."""

    path: Path
    config: Mapping[str, Any]
    code: Mapping[str, TaskCode] = field(default_factory=dict)


def find_installed() -> Path:
    """Return the folder of the tasks that lm-eval brings, without importing it; raises ConfigError where it is not."""
    found = importlib.util.find_spec("lm_eval")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    folder = Path(places[0]) / "tasks" if places else None
    if folder is None or not folder.is_dir():
        raise ConfigError(f"lm_eval is not installed, whose own tasks are searched: {_INSTALL}, or name include_path")
    return folder


def read_task(name: str, include_path: Path | None) -> TaskFile:
    """Read the task `name` from a folder of task files, or from those that lm-eval brings.

    Raises ConfigError naming file and line for a folder or task that is not there, a name that two files or a group
    have, YAML that cannot be read, an `include:` or a function outside of the folder.
    """
    if include_path is not None and not include_path.is_dir():
        raise ConfigError(f"include_path: no such folder '{include_path}'; it holds the task files")
    folder = include_path if include_path is not None else find_installed()
    problems: list[Problem] = []
    names: dict[str, list[Path]] = {}
    for path in _list_files(folder, name if include_path is None else None):
        try:
            data = _parse(path)
        except ConfigError as error:
            problems += error.problems
            continue
        told = data.get("task", data.get("group"))
        if isinstance(told, str):
            names.setdefault(told, []).append(path)
        if name in _listed(data.get("group")) or (name in _listed(data.get("tag")) and told != name):
            names.setdefault(name, [])
    found = names.get(name)
    if found is None:
        hint = did_you_mean(name, names) or (
            f"; there are {', '.join(sorted(names)) or 'none'}" if include_path else ""
        )
        raise ConfigError([Problem(f"task: no task file of {_say(folder)} is named '{name}'{hint}"), *problems])
    if len(found) > 1:
        raise ConfigError(f"task: '{name}' is named by {' and '.join(map(str, found))}; remove one")
    if not found or "group" in (data := _parse(found[0])) or not isinstance(data.get("task"), str):
        raise ConfigError(f"task: '{name}' is a group of tasks; name each of its tasks as a benchmark of its own")
    reader = _Reader(folder, is_installed=include_path is None)
    config = reader.read(found[0], ())
    return TaskFile(found[0], config, reader.code)


def _say(folder: Path) -> str:
    return f"lm_eval {RELEASE}" if folder.name == "tasks" and folder.parent.name == "lm_eval" else f"'{folder}'"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _list_files(folder: Path, name: str | None) -> list[Path]:
    """Return the task files of a folder, sorted; with a name only those whose text has it as a value.

    lm-eval brings 14,000 files, so a folder whose name begins the task's is looked at first.
    """
    if name is None:
        return [path for path in sorted(folder.glob("**/*.yaml")) if _IGNORED.isdisjoint(path.parts)]
    told = re.compile(rb"[:-]\s*[\"']?" + re.escape(name.encode()) + rb"[\"']?\s*$", re.M)
    near = [one for one in sorted(folder.iterdir()) if one.is_dir() and name.startswith(one.name)]
    for places in (near, [folder]):
        files = [path for place in places for path in _list_files(place, None)]
        if found := [path for path in files if told.search(path.read_bytes())]:
            return found
    return []


def _parse(path: Path) -> dict[str, Any]:
    """Parse one file; raises ConfigError naming file and line."""
    try:
        data = yaml.load(path.read_bytes(), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {error.problem or 'cannot be read'}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected the keys of a task, got {type(data).__name__}")
    return data


@dataclass
class _Reader:
    """Reads a task file with those it includes; `code` grows by every Python file that is named."""

    folder: Path
    is_installed: bool
    code: dict[str, TaskCode] = field(default_factory=dict)
    values: int = 0

    def read(self, path: Path, chain: Sequence[Path]) -> dict[str, Any]:
        here = path.resolve()
        if here in chain:
            circle = " -> ".join(one.name for one in (*chain[chain.index(here) :], here))
            raise ConfigError(f"{path}: a cycle of files that include each other: {circle}")
        data = _parse(path)
        merged: dict[str, Any] = {}
        for name in _listed(data.pop("include", [])):
            if not isinstance(name, str):
                raise ConfigError(f"{path}: include: expected the path of a file, got {name!r}")
            merged |= self.read(self._below(path, path.parent / name, f"include: {name}"), (*chain, here))
        merged.pop("task_list", None)
        return merged | {str(key): self._settle(value, path) for key, value in data.items()}

    def _below(self, path: Path, named: Path, what: str) -> Path:
        if not named.resolve().is_relative_to(self.folder.resolve()):
            raise ConfigError(f"{path}: {what}: lies outside of {_say(self.folder)}; copy it there")
        return named

    def _settle(self, value: Any, path: Path) -> Any:
        """Return plain JSON, functions by name and digest; aliases may not multiply without end."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise ConfigError(f"{path}: more than {MAX_VALUES} values; do aliases (*name) multiply?")
        if isinstance(value, _Function):
            return self._attach(value.named, path)
        if isinstance(value, Mapping):
            return {str(key): self._settle(one, path) for key, one in value.items()}
        if isinstance(value, list):
            return [self._settle(one, path) for one in value]
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{path}: holds {value}, which is no number; put it in quotes where text is meant")
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        raise ConfigError(
            f"{path}: holds {value!r:.60}, a {type(value).__name__}; put it in quotes where text is meant"
        )

    def _attach(self, named: str, path: Path) -> dict[str, str]:
        module, _, name = named.rpartition(".")
        file = path.parent / f"{module.replace('.', '/')}.py"
        if not module or not name.isidentifier() or not file.is_file():
            told = f"no file '{file.name}' beside it" if module else "needs module.name"
            raise ConfigError(f"{path}: {FUNCTION} {named}: {told}; functions are taken from Python files of the task")
        data = self._below(path, file, f"{FUNCTION} {named}").read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        try:
            source = data.decode()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(source)
        except (SyntaxError, ValueError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
            raise ConfigError(f"{file}{line}: no Python that can be read: {error}") from None
        if self.is_installed:
            place = file.resolve().relative_to(self.folder.resolve()).with_suffix("")
            self.code[digest] = TaskCode(digest=digest, module=".".join(("lm_eval", "tasks", *place.parts)))
        else:
            self.code[digest] = TaskCode(digest=digest, source=source)
        if "code_eval" in source or "HF_ALLOW_CODE_EVAL" in source:
            raise ConfigError(f"{file}: runs generated code by code_eval; here code runs in the sandbox alone: {_CODE}")
        return {FUNCTION: name, DIGEST: digest}
