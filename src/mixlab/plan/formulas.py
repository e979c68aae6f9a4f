"""Formulas that stand in `config/`: which of them mean something else than they did, and which files compute by them.

Settings are in specs, and so in keys; what a function or method computes from them is in none. Fields, validators,
aliases of types and words of errors are no formulas. Only texts are read, nothing is imported, so nobody knows the type
of `settings.sources[0]`: who imports a class may use its fields, their fields, and the formulas of all of these.
"""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from mixlab.artifacts.code import PACKAGE, render_meaning

FOLDER = f"{PACKAGE.name}/config/"
_SPECS = f"{PACKAGE.name}/plan/specs.py"
"""What hands the settings to hosts, as fields of specs."""
_WORDS = f"{PACKAGE.name}.config.problems"
"""The module of errors: what they say makes no bytes."""
_CHECKS = ("validator", "serializer")

Names = Mapping[str, set[str]]
"""Module -> names of formulas in it."""


@dataclass
class Module:
    """Formulas of a module by name, methods as `Class.method`; (module, name) of imports by alias.

    `uses`: what each formula, class and alias of a type uses; a class its methods, its bases, the types of its fields.
    `exports`: under which names others may import what is imported here, `from … import A as A` or in `__all__`.
    """

    formulas: dict[str, ast.stmt] = field(default_factory=dict)
    uses: dict[str, set[str]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    exports: set[str] = field(default_factory=set)

    def add(self, name: str, formula: ast.stmt) -> None:
        """Take in a formula."""
        self.formulas[name] = formula
        self.uses[name] = _list_names([formula])

    def add_class(self, node: ast.ClassDef) -> None:
        """Take in a class with its methods."""
        functions = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        methods = {f"{node.name}.{one.name}": one for one in functions if not _is_check(one)}
        for name, method in methods.items():
            self.add(name, method)
        fields = [one.annotation for one in node.body if isinstance(one, ast.AnnAssign)]
        self.uses[node.name] = {*methods, *_list_names(node.bases), *_list_types(fields)}

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
            module.exports |= {one.name for one in node.names if one.name == one.asname}
        elif isinstance(node, ast.Import):
            module.imports |= {one.asname or one.name: (one.name, "") for one in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            module.add(node.name, node)
        elif isinstance(node, ast.ClassDef):
            module.add_class(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (target.id for target in targets if isinstance(target, ast.Name)):
                if name == "__all__" and node.value is not None:
                    module.exports |= _list_texts(node.value)
                elif not _is_type(node.value):
                    module.add(name, node)
                elif node.value is not None:
                    module.uses[name] = _list_types([node.value])
    return module


def _list_names(nodes: Iterable[ast.AST]) -> set[str]:
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}


def _list_types(annotations: Iterable[ast.expr]) -> set[str]:
    """List the names in annotations, quoted ones too; not what checks a value, nor the values of a Literal."""
    names: set[str] = set()
    for one in annotations:
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            names |= _list_types(_parse_quoted(one.value))
        elif isinstance(one, ast.Subscript) and ast.unparse(one.value).endswith("Literal"):
            continue
        elif isinstance(one, ast.Subscript) and ast.unparse(one.value).endswith("Annotated"):
            names |= _list_types([one.slice.elts[0]] if isinstance(one.slice, ast.Tuple) else [])
        elif isinstance(one, ast.Name):
            names.add(one.id)
        else:
            names |= _list_types(part for part in ast.iter_child_nodes(one) if isinstance(part, ast.expr))
    return names


def _parse_quoted(text: str) -> list[ast.expr]:
    """Parse a quoted type; nothing for the key of a table, `TABLE["two words"]`, which looks like one."""
    try:
        return [ast.parse(text, mode="eval").body]
    except SyntaxError:
        return []


def _list_texts(value: ast.expr) -> set[str]:
    return {one.value for one in ast.walk(value) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


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
    """Follow changed formulas through `config/` and the specs: module -> what there computes otherwise now."""
    found = {module: set(names) for module, names in changed.items() if module != _WORDS}
    is_new = bool(found)
    while is_new:
        is_new = False
        for name, module in _read_config().items():
            known = found.get(name, set())
            own = module.uses.keys() | module.exports
            affected = known | (module.spread(known | _find_imported(module, found)) & own)
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
    paths = [*sorted((PACKAGE.parent / FOLDER).rglob("*.py")), PACKAGE.parent / _SPECS]
    return {name_module(path.relative_to(PACKAGE.parent).as_posix()): read_module(path.read_bytes()) for path in paths}


@cache
def _read_file(file: str) -> Module | None:
    path = PACKAGE.parent / file
    return read_module(path.read_bytes()) if file.endswith(".py") and path.is_file() else None
