"""`mixlab merge`: after a merge of git, derived files follow the studies and pointers, and clashes are shown."""

import sys
from collections.abc import Sequence

import click

from mixlab.artifacts.clashes import Clash, Side, choose_side, describe_clashes, find_clashes, keep_side
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import TRACKED, is_repository
from mixlab.artifacts.hooks import install_driver
from mixlab.artifacts.merging import (
    DISCARDED,
    OURS,
    THEIRS,
    Unmerged,
    list_unmerged,
    revive_tracked,
    settle_pointers,
    stage_files,
)
from mixlab.artifacts.pipeline import LOCK
from mixlab.artifacts.states import Name, read_states
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import describe_stray, find_strays, has_bytes
from mixlab.cli import _clashes
from mixlab.cli._common import example, json_option, open_store, print_json, render_count
from mixlab.cli._named import RESULTS
from mixlab.cli._receipts import PLANS, RECEIPTS, Derived, rewrite_derived
from mixlab.cli._selection import count_stages, describe_names, select_names
from mixlab.config.problems import ConfigError, Problem
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

UNDECIDED = 1
"""Exit code when an artifact is left of which both sides track other bytes."""

_DERIVED = (PLANS, RECEIPTS, RESULTS, LOCK)


@click.command(
    epilog=example("mixlab merge --install", "mixlab merge", "mixlab merge --keep 5b0f2c1de8aa 431bfac04c1bd901")
)
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--keep", metavar="DIGEST|ours|theirs", help="Of these keys with several sets of bytes, keep this one.")
@click.option("--install", is_flag=True, help="Let `git merge` do it: a merge driver and two hooks, in this clone.")
@click.option("--check", is_flag=True, hidden=True)
@json_option
def command(keys: tuple[str, ...], keep: str | None, install: bool, check: bool, as_json: bool) -> None:
    """After `git merge`: rewrite plans, receipts, tables and dvc.lock from studies and pointers, and settle pointers.

    What one side tracks stays tracked, whatever the other side dropped. A key of which both sides track other bytes is
    shown with the provenance of both; --keep decides, and --keep ours|theirs without keys decides for all. Conflicts
    in studies and code are yours to mend first. What is settled is staged; `git commit` is left to you. Exit code 1
    while a key is undecided, or here with other bytes than its pointer names.
    """
    store = open_store()
    if install:
        hooks = install_driver(store.root)
        written = [
            one.relative_to(store.root).as_posix() if one.is_relative_to(store.root) else str(one) for one in hooks
        ]
        if as_json:
            print_json({"hooks": written})
        else:
            click.echo(f"Merge driver named to git, hooks written: {', '.join(written)}")
        return
    if check:
        _check(store)
        return
    if not is_repository(store.root):
        raise ArtifactError(f"{store.root}: no git repository; run `git init` in it")
    if keys and keep is None:
        raise ConfigError(Problem("keys are given, but not which bytes of them to keep; add --keep DIGEST"))
    unmerged = list_unmerged(store.root)
    _refuse_conflicts(unmerged)
    settled, held = settle_pointers(store, [one for one in unmerged if one.path.startswith((TRACKED, DISCARDED))])
    clashes = describe_clashes(store, held)
    kept = _keep(store, clashes, keys, keep) if keep is not None else []
    left = [clash for clash in clashes if clash.name not in kept]
    strays = [name for name in find_strays(store) if name not in {clash.name for clash in left}]
    revived = revive_tracked(store)
    derived = rewrite_derived(store)
    stage_files(store.root, [*derived.places, *(one.path for one in unmerged if one.path.startswith(_DERIVED))])
    if as_json:
        print_json(
            {
                "derived": list(derived.rewritten),
                "removed": list(derived.removed),
                "settled": describe_names(settled),
                "revived": describe_names(revived),
                "kept": describe_names(kept),
                "strays": describe_names(strays),
                "clashes": _clashes.describe_clashes(left),
            }
        )
    else:
        _print(derived, settled, revived, kept, left, strays)
        for name in strays:
            click.echo(describe_stray(store, name))
    if left or strays:
        sys.exit(UNDECIDED)


def _check(store: Store) -> None:
    """Say what is here with other bytes than its pointer names, and change nothing: the hooks ask for this."""
    strays = find_strays(store)
    for name in strays:
        click.echo(f"mixlab: {describe_stray(store, name)}", err=True)
    if strays:
        sys.exit(UNDECIDED)


def _refuse_conflicts(unmerged: Sequence[Unmerged]) -> None:
    """Raise for conflicts in what people write: nothing can be derived from half a study."""
    ours = (f"{TRACKED}/", f"{DISCARDED}/", *(f"{place}/" for place in _DERIVED[:-1]))
    problems = [
        Problem("git could not merge it; mend it and `git add` it, then `mixlab merge`", one.path)
        for one in unmerged
        if not one.path.startswith(ours) and one.path != LOCK
    ]
    if problems:
        raise ConfigError(problems)


def _keep(store: Store, clashes: Sequence[Clash], keys: Sequence[str], word: str) -> list[Name]:
    """Keep one side of each named key, or of all that git could not merge; return the artifacts decided."""
    chosen = _find_chosen(store, clashes, keys)
    sides = [(clash, _choose(clash, word)) for clash in chosen]
    for clash, side in sides:
        keep_side(store, clash, side)
    stage_files(store.root, [f"{TRACKED}/{clash.stage}/{clash.key}.dvc" for clash in chosen])
    return [clash.name for clash in chosen]


def _find_chosen(store: Store, clashes: Sequence[Clash], keys: Sequence[str]) -> list[Clash]:
    if not keys:
        if not clashes:
            raise ConfigError(Problem("there is no conflict of pointers to decide; name the key to choose bytes for"))
        return list(clashes)
    names = select_names(Plan(), read_states(store, STAGES), keys)
    others = [one for one in find_clashes(store, names, least=1) if len(one.sides) > 1 or _is_other(store, one)]
    known = {clash.name: clash for clash in [*others, *clashes]}
    if unknown := [name for name in names if name not in known]:
        raise ConfigError([Problem(f"{stage} {key}: all branches track the same bytes") for stage, key in unknown])
    return [known[name] for name in names]


def _is_other(store: Store, clash: Clash) -> bool:
    """Whether what is here is not what the clash's first side tracks."""
    return store.is_complete(*clash.name) and not has_bytes(store, clash.sides[0].pointer)


def _choose(clash: Clash, word: str) -> Side:
    if word not in (OURS, THEIRS):
        return choose_side(clash, word)
    found = [side for side in clash.sides if word in side.places]
    if not found:
        raise ConfigError(Problem(f"{clash.stage} {clash.key}: not in conflict, so nothing is {word}; name a digest"))
    return found[0]


def _print(
    derived: Derived,
    settled: Sequence[Name],
    revived: Sequence[Name],
    kept: Sequence[Name],
    left: Sequence[Clash],
    strays: Sequence[Name],
) -> None:
    if derived.rewritten:
        click.echo(f"Rewritten and staged: {', '.join(derived.rewritten)}")
    for table in derived.removed:
        click.echo(f"{table}: removed, it was made from data that the merged study has no more")
    for names, what in ((settled, "settled"), (revived, "tracked on one side, so no longer discarded"), (kept, "kept")):
        if names:
            click.echo(f"{render_count(len(names), 'artifact')} {what}: {count_stages(names)}")
    if not (derived.rewritten or settled or revived or kept or left or strays):
        click.echo("Nothing to merge.")
    for clash in left:
        click.echo("\n".join(_clashes.render_clash(clash)))
