"""`mixlab fetch`: artifacts of any branch by their key, for a look; nothing that git keeps is changed."""

from collections.abc import Iterable, Sequence

import click

from mixlab.artifacts.branches import read_branches
from mixlab.artifacts.clashes import Clash, choose_side, describe_clashes
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import find_past
from mixlab.artifacts.pointers import Pointer, read_pointer
from mixlab.artifacts.restoring import bring_artifacts
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.cli import _clashes
from mixlab.cli._common import example, json_option, open_store, print_json, render_bytes, render_count
from mixlab.cli._selection import count_stages, describe_names, is_key
from mixlab.config.problems import ConfigError, Problem

HISTORY = "an earlier commit"


@click.command(epilog=example("mixlab fetch 431bfac04c1bd901", "mixlab fetch 431bfac0 --digest 5b0f2c1de8aa"))
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--digest", metavar="DIGEST", help="Which bytes, where branches track several of one key.")
@json_option
def command(keys: tuple[str, ...], digest: str | None, as_json: bool) -> None:
    """Fetch artifacts that any branch, tag or earlier commit tracks into artifacts/, verified.

    The pointer is looked for here, then on every branch and tag, then in history; it is not written, so that git sees
    no change: `mixlab restore KEY` writes it as well, `mixlab track KEY` later. A key may be shortened.
    """
    store = open_store()
    if problems := [
        Problem(f"'{word}' is no key: hex digits, at least four of them") for word in keys if not is_key(word)
    ]:
        raise ConfigError(problems)
    found = find_everywhere(store, dict.fromkeys(keys))
    pointers = choose_pointers(store, found, digest)
    wanted = [pointer for pointer in pointers if not store.is_complete(*pointer.name)]
    fetched = bring_artifacts(store, wanted)
    here = [pointer.name for pointer in pointers if pointer not in wanted]
    if as_json:
        size = sum(pointer.bytes for pointer in wanted)
        print_json({"fetched": describe_names(fetched), "here": describe_names(here), "bytes": size})
        return
    for stage, key in here:
        click.echo(f"{stage} {key}: here already")
    if fetched:
        size_text = render_bytes(sum(pointer.bytes for pointer in wanted))
        click.echo(f"Fetched {render_count(len(fetched), 'artifact')} ({size_text}): {count_stages(fetched)}")
        click.echo("\n".join(f"  artifacts/{stage}/{key}" for stage, key in fetched))


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
            what = (
                f"may be any of {len(names)} artifacts; write more digits"
                if names
                else "no commit here tracks such a key"
            )
            problems.append(
                Problem(f"'{word}': {what}{'' if names else '; `git fetch --all` brings what others pushed'}")
            )
            continue
        (name,) = names
        if store.pointer(*name).is_file():
            found[name] = {read_pointer(store, name): ["this folder"]}
        else:
            found[name] = held.get(name) or {past[0]: [HISTORY]}
    if problems:
        raise ConfigError(problems)
    return found


def choose_pointers(store: Store, found: dict[Name, dict[Pointer, list[str]]], digest: str | None) -> list[Pointer]:
    """Choose the bytes of each artifact; raises ArtifactError showing both sides where nobody said which."""
    clashes = describe_clashes(store, found) if digest else _find_several(store, found)
    if digest:
        return [choose_side(clash, digest).pointer for clash in clashes]
    if clashes:
        lines = [line for clash in clashes for line in _clashes.render_clash(clash)[:-1]]
        keys = " ".join(clash.key for clash in clashes)
        raise ArtifactError("\n".join([*lines, f"  mixlab fetch {keys} --digest DIGEST says which to fetch"]))
    return [pointer for pointers in found.values() for pointer in pointers]


def _find_several(store: Store, found: dict[Name, dict[Pointer, list[str]]]) -> Sequence[Clash]:
    return describe_clashes(store, {name: sides for name, sides in found.items() if len(sides) > 1})
