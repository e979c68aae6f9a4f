"""`mixlab gc --remote`: the exact list of what would go from the remote, and its removal."""

from typing import Any

import click

from mixlab.artifacts.store import Store
from mixlab.artifacts.sweeping import Leftover, fetch_branches, find_leftover, sweep_remote
from mixlab.cli._common import print_json, render_bytes, render_count, render_table


def clean_remote(store: Store, yes: bool, alone: bool, as_json: bool) -> None:
    """Print what only pointers of the past name, and with `yes` remove just that from the remote."""
    fetch_branches(store, alone)
    leftover = find_leftover(store)
    if yes and leftover.objects:
        sweep_remote(store, leftover.objects)
    if as_json:
        print_json(describe(leftover, yes))
    else:
        _print(leftover, yes)


def describe(leftover: Leftover, removed: bool) -> dict[str, Any]:
    """Describe for JSON what goes and what stays, object by object."""
    return {
        "artifacts": [{"stage": one.stage, "key": one.key, "md5": one.oid} for one in leftover.artifacts],
        "objects": dict(leftover.objects),
        "bytes": sum(leftover.objects.values()),
        "needed": leftover.needed,
        "unknown": leftover.unknown,
        "removed": removed,
    }


def _print(leftover: Leftover, removed: bool) -> None:
    rows = [(one.stage, one.key, one.oid, render_bytes(one.bytes)) for one in leftover.artifacts]
    if rows:
        click.echo(render_table(("stage", "key", "md5", "size"), rows))
    for oid, number in leftover.objects.items():
        click.echo(f"files/md5/{oid[:2]}/{oid[2:]}  {render_bytes(number)}")
    stay = f"{render_count(leftover.needed, 'object')} stay, tracked somewhere"
    if leftover.unknown:
        stay += f"; {leftover.unknown} more stay, whose pointers are in no branch known here"
    click.echo(f"{stay}.")
    size = render_bytes(sum(leftover.objects.values()))
    count = render_count(len(leftover.objects), "object")
    tail = "" if removed or not leftover.objects else "; --yes removes them, for everybody"
    click.echo(f"{'Removed' if removed else 'Would remove'} {count} ({size}) from the remote{tail}.")
