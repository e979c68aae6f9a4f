"""`mixlab gc`: free what no study, branch, tag or running job needs."""

from collections.abc import Iterable
from typing import Any

import click

from mixlab.artifacts.collecting import Finding, find_garbage, free_garbage
from mixlab.artifacts.errors import BusyError
from mixlab.artifacts.locks import list_writers
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.cli._common import (
    example,
    json_option,
    open_store,
    print_json,
    render_bytes,
    render_count,
    render_table,
)
from mixlab.cli._gc_remote import clean_remote
from mixlab.cli._needs import render_seconds
from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan, list_startable
from mixlab.plan.planfile import PLANS, read_plan


@click.command(epilog=example("mixlab gc", "mixlab gc --unpushed --yes", "mixlab gc --remote"))
@click.option("--unpushed", is_flag=True, help="Also what is on no remote: making it again costs what is printed.")
@click.option("--remote", is_flag=True, help="On the DVC remote instead of here: what no branch or tag tracks.")
@click.option("--alone", is_flag=True, help="With --remote, without a git remote: no other clone uses the DVC remote.")
@click.option("--yes", is_flag=True, help="Free it; without this, gc only says what it would free.")
@json_option
def command(unpushed: bool, remote: bool, alone: bool, yes: bool, as_json: bool) -> None:
    """Free what is needed by no study of this checkout, no pointer on any branch or tag, and no running job.

    Copies that a remote has go first; what is on no remote goes only with --unpushed. Nothing on a remote is touched,
    but with --remote: then what a pointer once named and no branch, tag, stash, worktree or this folder names now goes
    from there, and nothing goes here. git fetches all branches and tags first, so that those of others count; where
    they cannot be known (no git remote, a shallow clone) nothing goes.
    """
    store = open_store()
    if remote:
        if unpushed:
            raise ConfigError("--unpushed is about copies here, --remote about the remote; give one of them")
        clean_remote(store, yes, alone, as_json)
        return
    if alone:
        raise ConfigError("--alone is about the remote; add --remote")
    if yes and any((store.root / ".snakemake" / "locks").glob("*")):
        raise BusyError("Snakemake is at work here, or was killed; wait, or `mixlab unlock`, then collect")
    finding = find_garbage(store, list_reachable_names(store))
    card = describe(finding, unpushed)
    if yes:
        card["freed_bytes"] = free_garbage(store, finding, unpushed)
    if as_json:
        print_json(card)
    else:
        _print(finding, card, unpushed, yes)


def list_reachable_names(store: Store) -> set[Name]:
    """List what the studies of this checkout are made of, and what running jobs write and read.

    Raises ConfigError when a study cannot be planned: then nobody knows what it needs.
    """
    plan = build_plan(store.root, list_startable(store.root), check_files=False).plan
    names = {node.name for node in plan.nodes.values()}
    writers = {(one.stage, one.key) for one in list_writers(store.work)}
    return names | writers | _list_read(store, writers - names)


def _list_read(store: Store, writers: Iterable[Name]) -> set[Name]:
    """List what running jobs of another plan need: the plan files of their runs say so."""
    unknown = {key for _, key in writers}
    names: set[Name] = set()
    for path in sorted((store.work / PLANS).glob("*.jsonl")) if unknown else ():
        text = path.read_text(encoding="utf-8")
        found = {key for key in unknown if f'"{key}"' in text}
        if found:
            plan = read_plan(path).plan
            names |= {plan.nodes[key].name for key in plan.closure(found & set(plan.nodes))}
    return names


def describe(finding: Finding, unpushed: bool) -> dict[str, Any]:
    """Describe for JSON what would be freed and what would stay because it is on no remote."""
    artifacts = [
        {"stage": one.stage, "key": one.key, "bytes": one.bytes, "pushed": one.pushed, "seconds": one.seconds}
        for one in finding.artifacts
    ]
    freed = [one for one in artifacts if one["pushed"] or unpushed]
    objects = {**finding.pushed_objects, **(finding.unpushed_objects if unpushed else {})}
    size = sum(one.bytes for one in finding.artifacts if one.pushed or unpushed) + sum(objects.values())
    return {
        "free": freed,
        "stay": [one for one in artifacts if one not in freed],
        "objects": len(objects),
        "work": [f"work/{stage}/{key}" for (stage, key), _ in finding.work],
        "bytes": size + sum(size for _, size in finding.work),
        "freed_bytes": 0,
    }


def _print(finding: Finding, card: dict[str, Any], unpushed: bool, yes: bool) -> None:
    rows = [
        (
            one.stage,
            one.key,
            render_bytes(one.bytes),
            "pushed" if one.pushed else "only copy",
            _render_cost(one.seconds),
        )
        for one in sorted(finding.artifacts, key=lambda one: (not one.pushed, one.name))
        if one.pushed or unpushed
    ]
    if rows:
        click.echo(render_table(("stage", "key", "size", "where else", "to make again"), rows))
    for place in card["work"]:
        click.echo(f"{place}: left behind by a killed attempt")
    if card["objects"]:
        click.echo(f"{render_count(card['objects'], 'object')} of the cache that only pointers of the past name")
    stay = [one for one in finding.artifacts if not one.pushed and not unpushed]
    if stay:
        cost = render_seconds(sum(one.seconds or 0.0 for one in stay))
        size = render_bytes(sum(one.bytes for one in stay))
        click.echo(
            f"On no remote, so kept: {render_count(len(stay), 'artifact')}, {size}; --unpushed frees it, {cost} to make"
        )
    verb, tail = ("Freed", "") if yes else ("Would free", "; --yes frees it")
    click.echo(f"{verb} {render_bytes(card['freed_bytes'] if yes else card['bytes'])}{tail if card['bytes'] else ''}.")


def _render_cost(seconds: float | None) -> str:
    return "unknown" if seconds is None else render_seconds(seconds)
