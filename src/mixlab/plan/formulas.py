"""Formulas that stand in `config/`: which of them mean something else than they did, and which files compute by them.

Settings are in specs, and so in keys; what a function or method computes from them is in none. Fields, validators,
aliases of types and words of errors are no formulas. Only texts are read, nothing is imported.
"""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from mixlab.artifacts.code import PACKAGE, render_meaning

FOLDER = f"{PACKAGE.name}/config/"
_WORDS = f"{PACKAGE.name}.config.problems"
"""The module of errors: what they say makes no bytes."""
_CHECKS = ("validator", "serializer")

Names = Mapping[str, set[str]]
"""Module -> names of formulas in it."""


@dataclass
class Module:
    """Formulas of a module by name, methods as `Class.method`; what each uses; (module, name) of imports by alias."""

    formulas: dict[str, ast.stmt] = field(default_factory=dict)
    uses: dict[str, set[str]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, name: str, formula: ast.stmt) -> None:
        """Take in a formula."""
        self.formulas[name] = formula
        self.uses[name] = _list_names([formula])

    def spread(self, changed: set[str]) -> set[str]:
        """Return `changed`, and all that uses one of them, directly or not."""
        found = set(changed)
        while more := {name for name, used in self.uses.items() if name not in found and not found.isdisjoint(used)}:
            found |= more
        return found


def read_module(source: bytes) -> Module:
    """Read the formulas of a module; raises SyntaxError."""
    tree, module = ast.parse(source), Module()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module.imports |= {one.asname or one.name: (node.module, one.name) for one in node.names}
        elif isinstance(node, ast.Import):
            module.imports |= {one.asname or one.name: (one.name, "") for one in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            module.add(node.name, node)
        elif isinstance(node, ast.ClassDef):
            functions = [one for one in node.body if isinstance(one, ast.FunctionDef)]
            methods = {f"{node.name}.{one.name}": one for one in functions if not _is_check(one)}
            for name, method in methods.items():
                module.add(name, method)
            module.uses[node.name] = {*methods, *_list_names(node.bases)}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and not _is_type(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    module.add(target.id, node)
    return module


def _list_names(nodes: Iterable[ast.AST]) -> set[str]:
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}


def _is_check(method: ast.FunctionDef) -> bool:
    """Whether pydantic calls a method as it reads settings: what it makes of them is in specs."""
    return any(word in ast.unparse(one) for one in method.decorator_list for word in _CHECKS)


def _is_type(value: ast.expr | None) -> bool:
    """Whether a value is a type, `Literal[…]` or `A | B`, or none at all."""
    return value is None or isinstance(value, ast.Subscript) or _is_union(value)


def _is_union(value: ast.expr) -> bool:
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)


def find_changed(old: bytes, new: bytes) -> set[str]:
    """Name the formulas of a module that mean something else now, or are gone; none where one has no syntax."""
    try:
        before, now = ({name: _render(one) for name, one in read_module(text).formulas.items()} for text in (old, new))
    except SyntaxError:
        return set()
    return {name for name, meaning in before.items() if now.get(name) != meaning}


def _render(formula: ast.stmt) -> str:
    return render_meaning(ast.unparse(formula).encode())


def spread_changes(changed: Names) -> Names:
    """Follow changed formulas through `config/`: module -> what there computes otherwise now."""
    found = {module: set(names) for module, names in changed.items() if module != _WORDS}
    is_new = bool(found)
    while is_new:
        is_new = False
        for name, module in _read_config().items():
            known = found.get(name, set())
            affected = known | (module.spread(known | _find_imported(module, found)) & module.uses.keys())
            if name != _WORDS and affected != known:
                found[name], is_new = affected, True
    return found


def find_users(files: Iterable[str], affected: Names) -> list[str]:
    """List those of `files`, as provenance names them, that import something of `affected`."""
    modules = {file: _read_file(file) for file in sorted(files)}
    return [file for file, module in modules.items() if module is not None and _find_imported(module, affected)]


def name_module(file: str) -> str:
    """The module of a file as provenance names it: `mixlab/config/base.py` is `mixlab.config.base`."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _find_imported(module: Module, affected: Names) -> set[str]:
    """Find the aliases under which a module imports something affected, or the whole module that holds it."""
    return {
        alias
        for alias, (origin, name) in module.imports.items()
        if name in affected.get(origin, ()) or affected.get(f"{origin}.{name}" if name else origin)
    }


@cache
def _read_config() -> dict[str, Module]:
    paths = sorted((PACKAGE.parent / FOLDER).rglob("*.py"))
    return {name_module(path.relative_to(PACKAGE.parent).as_posix()): read_module(path.read_bytes()) for path in paths}


@cache
def _read_file(file: str) -> Module | None:
    path = PACKAGE.parent / file
    return read_module(path.read_bytes()) if file.endswith(".py") and path.is_file() else None
