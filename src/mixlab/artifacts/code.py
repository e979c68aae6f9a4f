"""The code behind an artifact: which files of mixlab its process had loaded, and whether one means something else now.

A card, `provenance/code/<digest>.json`, maps each file to its digest. It is named by its own content, so that all
artifacts that the same code made share one. What is loaded is the stage's import closure as it ran: modules imported on
the way included, those of its ranks as well, and files that are no Python (templates, keyword rules) of the packages
that were loaded. The YAML of `config/` is left out: what it says stands in specs.

A file's digest is taken when it is first seen: at `watch_code`, as a process begins, or when it is imported later. An
edit or a `git pull` during a training of days is not what trained.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import mixlab
from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.artifacts.store import Store, write_json

PACKAGE = Path(mixlab.__file__).parent
"""Where mixlab's files are; they are named from its parent on, `mixlab/training/loop.py`."""

_SPEC_FOLDER = PACKAGE / "config"
_NO_DATA = frozenset({".py", ".pyc", ".typed"})

Code = Mapping[str, str]
"""File -> digest of its bytes."""


class _Noting:
    """Notes the files of a module of mixlab just before it is imported, and leaves the import to others."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name.partition(".")[0] == PACKAGE.name:
            found = PathFinder.find_spec(name, path, target)
            if found is not None and found.origin is not None:
                _note(Path(found.origin))


_seen: dict[Path, str] = {}
"""File -> digest of its bytes when this process saw it first, or as its ranks did."""


def watch_code() -> None:
    """Note the files of mixlab that this process has loaded, and from now on each that it imports."""
    if not any(isinstance(finder, _Noting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Noting())
    list_code()


def list_code() -> Code:
    """Map each file of mixlab that this process, or a rank that it took over, loaded to its digest: as it ran."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) if _is_ours(module) else None
        if file:
            _note(Path(file))
    return {_name(path): digest for path, digest in sorted(_seen.items())}


def note_file(file: Path) -> None:
    """Count a file that this process gives to another one, such as a helper, as loaded here."""
    _note(file)


def take_over_code(code: Code) -> None:
    """Count what another process of the same job loaded as loaded here; of a file seen by both, as it saw it."""
    _seen.update({PACKAGE.parent / name: digest for name, digest in code.items()})


def _is_ours(module: ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)  # of a module run by `python -m`, the name says only __main__
    name = getattr(spec, "name", None) or getattr(module, "__name__", "")
    return str(name).partition(".")[0] == PACKAGE.name


def _note(file: Path) -> None:
    """Note a file of the package; a copy of one elsewhere is not what made an artifact."""
    if not file.is_relative_to(PACKAGE):
        return
    is_package = file.name == "__init__.py" and file.parent != PACKAGE
    for path in (file, *(_list_data(file.parent) if is_package else ())):
        if path not in _seen:
            _seen[path] = build_digest(path.read_bytes())


@cache
def _list_data(package: Path) -> tuple[Path, ...]:
    """List the files of a package that are no Python, those of packages below it left out."""
    if package.is_relative_to(_SPEC_FOLDER):
        return ()
    found = (path for path in package.rglob("*") if path.is_file() and path.suffix not in _NO_DATA)
    return tuple(path for path in found if _find_package(path) == package)


def _find_package(path: Path) -> Path:
    return next(folder for folder in path.parents if (folder / "__init__.py").is_file())


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def digest_code(code: Code) -> str:
    """Return the digest of some code."""
    return build_digest(canonical_json(code).encode())


def write_code(store: Store, code: Code) -> str:
    """Write the card of some code unless it is there; return the code's digest."""
    digest = digest_code(code)
    path = _card_path(store, digest)
    if not path.exists():
        write_json(path, code)
    return digest


def read_code(store: Store, digest: str) -> Code | None:
    """Read the card of some code; None where there is none: the artifact is older than cards, or its card is lost."""
    try:
        card: dict[str, str] = json.loads(_card_path(store, digest).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return card if digest_code(card) == digest else None


def _card_path(store: Store, digest: str) -> Path:
    return store.root / "provenance" / "code" / f"{digest[:16]}.json"


class CodeHistory:
    """Compares code of the past with what is here now, by meaning where git still has the old text."""

    def __init__(self) -> None:
        self._now: dict[str, bytes | None] = {}
        self._old: dict[tuple[str, str], bytes] = {}

    def list_changed(self, code: Code, commits: Iterable[str]) -> dict[str, str]:
        """Map each file that means something else now to how that is known.

        Comments, docstrings and layout of Python mean nothing. Of a file whose old text is in none of `commits`
        nothing but that its bytes differ is known: then it counts as changed.
        """
        names = sorted({commit.partition("+")[0] for commit in commits} - {""})
        changed = {}
        for name, digest in sorted(code.items()):
            now = self._read_now(name)
            if now is None:
                changed[name] = "is gone"
            elif build_digest(now) != digest:
                old = self._find_old(name, digest, names)
                if old is None:
                    changed[name] = "bytes differ, and git has no old text"
                elif not _means_the_same(name, old, now):
                    changed[name] = "changed"
        return changed

    def find_texts(self, name: str, digest: str, commits: Iterable[str]) -> tuple[bytes, bytes] | None:
        """Return the text of a file that had a digest, and the one it has now; None where git or we have it no more."""
        now = self._read_now(name)
        old = self._find_old(name, digest, sorted({commit.partition("+")[0] for commit in commits} - {""}))
        return None if now is None or old is None else (old, now)

    def _read_now(self, name: str) -> bytes | None:
        if name not in self._now:
            path = PACKAGE.parent / name
            self._now[name] = path.read_bytes() if path.is_file() else None
        return self._now[name]

    def _find_old(self, name: str, digest: str, commits: Iterable[str]) -> bytes | None:
        """Return the text with that digest, from the first commit that has it; None where none does."""
        if (name, digest) not in self._old:
            texts = (_read_old(name, commit) for commit in commits)
            found = next((text for text in texts if text is not None and build_digest(text) == digest), None)
            if found is None:
                return None
            self._old[name, digest] = found
        return self._old[name, digest]


def _read_old(name: str, commit: str) -> bytes | None:
    command = ["git", "-C", str(PACKAGE.parent), "show", f"{commit}:./{name}"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _means_the_same(name: str, old: bytes, new: bytes) -> bool:
    if not name.endswith(".py"):
        return old == new
    try:
        return render_meaning(old) == render_meaning(new)
    except SyntaxError:
        return old == new


def render_meaning(source: bytes) -> str:
    """Render what Python code means: its syntax tree without docstrings; raises SyntaxError."""
    return _render(ast.parse(source))


def _render(node: Any) -> str:
    """Render a tree by its filled fields alone, so that versions of Python with more of them agree."""
    if isinstance(node, list):
        return f"[{','.join(map(_render, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        fields = [(name, _drop_docstring(value) if name == "body" else value) for name, value in fields]
    return f"{type(node).__name__}({','.join(f'{name}={_render(value)}' for name, value in fields)})"


def _drop_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body
