"""Which pointers a key has anywhere, which of them is meant, and whether what is here is just that."""

from collections.abc import Iterable, Sequence

from mixlab.artifacts.branches import read_branches
from mixlab.artifacts.clashes import Clash, choose_side, describe_clashes
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import find_past, render_fetch
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.pointers import Pointer, read_pointer
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import has_bytes
from mixlab.cli import _clashes
from mixlab.config.problems import ConfigError, Problem

HISTORY = "an earlier commit"
FETCH_SAYS = "mixlab fetch {keys} --digest DIGEST says which to fetch"


def find_everywhere(store: Store, keys: Iterable[str]) -> dict[Name, dict[Pointer, list[str]]]:
    """Find the pointers of each key: this folder's, else those of branches and tags, else the newest of history.

    Raises ConfigError naming each key that nobody ever tracked, or that may be several.
    """
    held = read_branches(store.root, keys)
    found: dict[Name, dict[Pointer, list[str]]] = {}
    problems = []
    for word in keys:
        names = {name for name in held if name[1].startswith(word)}
        names |= {(path.parent.name, path.stem) for path in store.tracked.glob(f"*/{word}*.dvc")}
        past = [] if names else find_past(store.root, word)
        names |= {pointer.name for pointer in past}
        if len(names) != 1:
            several = f"may be any of {len(names)} artifacts; write more digits"
            none = f"no commit here tracks such a key; `{render_fetch(store.root)}` brings what others pushed"
            problems.append(Problem(f"'{word}': {several if names else none}"))
            continue
        (name,) = names
        if store.pointer(*name).is_file():
            found[name] = {read_pointer(store, name): ["this folder"]}
        else:
            found[name] = held.get(name) or {past[0]: [HISTORY]}
    if problems:
        raise ConfigError(problems)
    return found


def choose_pointers(
    store: Store, found: dict[Name, dict[Pointer, list[str]]], digest: str | None = None, say: str = FETCH_SAYS
) -> list[Pointer]:
    """Choose the bytes of each artifact; raises ArtifactError showing both sides where nobody said which.

    `say`: the line that says which, with `{keys}` in it.
    """
    clashes = describe_clashes(store, found) if digest else _find_several(store, found)
    if digest:
        return [choose_side(clash, digest).pointer for clash in clashes]
    if clashes:
        lines = [line for clash in clashes for line in _clashes.render_clash(clash)[:-1]]
        keys = " ".join(clash.key for clash in clashes)
        raise ArtifactError("\n".join([*lines, f"  {say.format(keys=keys)}"]))
    return [pointer for pointers in found.values() for pointer in pointers]


def _find_several(store: Store, found: dict[Name, dict[Pointer, list[str]]]) -> Sequence[Clash]:
    return describe_clashes(store, {name: sides for name, sides in found.items() if len(sides) > 1})


def require_asked(store: Store, pointers: Iterable[Pointer]) -> None:
    """Raise ArtifactError for what is here, whole or damaged, and not the bytes that were asked for, naming both."""
    others = [pointer for pointer in pointers if not has_bytes(store, pointer)]
    if not others:
        return
    lines = []
    for clash in describe_clashes(store, {one.name: {one: []} for one in others}):
        here = read_manifest(store.folder(*clash.name)).digest[: len(clash.sides[0].sign)]
        lines.append(
            f"{clash.stage} {clash.key}: here are other bytes ({here}) than those asked for ({clash.sides[0].sign}); "
            f"`mixlab merge --keep {clash.sides[0].sign} {clash.key}` replaces them and writes the pointer, or move "
            f"artifacts/{clash.stage}/{clash.key} away for a look"
        )
    raise ArtifactError("\n".join(lines))
