"""`mixlab cluster`: what a dead run of Snakemake left in Slurm's queue and at work."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from mixlab.artifacts.errors import BusyError
from mixlab.cli._common import example, json_option, open_store, print_json, render_count, render_table
from mixlab.config.problems import ConfigError
from mixlab.plan.orphans import Orphan, cancel_orphans, find_orphans, wait_for_end
from mixlab.plan.slurm import has_slurm

_HEADER = ("job", "stage", "key", "state", "elapsed", "where", "label")
_WITHOUT = "Slurm's commands are not on this machine: processes that write are listed, jobs in a queue are not."

_UNSURE = (
    "Runs of {} are not known to be dead: where the file system's locks are local to a node, they look dead from here "
    "while they live. Ask there; --other-hosts cancels what is of them."
)


@click.group(
    epilog=example("mixlab cluster orphans", "mixlab cluster orphans --cancel --yes", "mixlab cluster orphans --json")
)
def command() -> None:
    """What a dead run of Snakemake left in Slurm's queue and at work; its command takes --json."""


@command.command(epilog=example("mixlab cluster orphans", "mixlab cluster orphans --cancel"))
@click.option("--cancel", is_flag=True, help="Cancel the jobs, and end the processes on this machine.")
@click.option(
    "--other-hosts",
    is_flag=True,
    help="Also cancel what is of runs of another host: they look dead from here where locks are local to a node.",
)
@click.option("--yes", is_flag=True, help="Do not ask before cancelling.")
@click.option(
    "--wait-seconds",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="After cancelling: how long to wait for their end.",
)
@json_option
def orphans(cancel: bool, other_hosts: bool, yes: bool, wait_seconds: float, as_json: bool) -> None:
    """List jobs of Slurm and processes whose run of Snakemake in this folder is dead, and cancel them.

    Jobs are known by the name of their run, processes by the locks they hold. A job that waits in the queue would start
    and write. Ask on the host where Snakemake ran: whether a run of another host lives is not known where the file
    system's locks are local to a node, so what is of it is listed, and cancelled with --other-hosts alone. Afterwards
    `mixlab unlock`, then start Snakemake again.
    """
    store = open_store()
    if cancel and as_json and not yes:
        raise ConfigError("--cancel with --json asks nobody: add --yes")
    found = find_orphans(store)
    if not as_json:
        _print(found)
    chosen = [one for one in found if one.is_sure or other_hosts]
    passed, left = [one for one in found if one not in chosen], chosen
    if cancel and chosen and (yes or click.confirm(f"Cancel {render_count(len(chosen), 'orphan')}?")):
        cancel_orphans(store, chosen)
        left = wait_for_end(store, wait_seconds, lambda count: click.echo(f"{count} still at work …", err=True), chosen)
        if not as_json:
            click.echo(f"{len(chosen) - len(left)} of {render_count(len(chosen), 'orphan')} ended.")
    if as_json:
        cards = [_describe(one) for one in found]
        print_json({"slurm": has_slurm(), "orphans": cards, "left": len(left) + len(passed)})
    if cancel and yes and (left or passed):
        count = render_count(len(left) + len(passed), "orphan")
        raise BusyError("\n".join([f"{count} still at work", *map(_tell_left, left), *map(_tell_passed, passed)]))


def _describe(orphan: Orphan) -> dict[str, Any]:
    return {**asdict(orphan), "writers": [asdict(one) for one in orphan.writers], "is_sure": orphan.is_sure}


def _print(found: Sequence[Orphan]) -> None:
    if not has_slurm():
        click.echo(_WITHOUT)
    if not found:
        click.echo("No orphans: whatever is queued or at work here belongs to a run that lives, or to none.")
        return
    rows = [
        (
            one.title or "-",
            one.stage,
            one.key or "-",
            one.state or "writing",
            one.elapsed or f"since {one.writers[0].since}",
            ", ".join(f"{writer.host}:{writer.process}" for writer in one.writers) if not one.job else one.nodes or "-",
            one.label,
        )
        for one in found
    ]
    click.echo(render_table(_HEADER, rows))
    if hosts := sorted({one.host for one in found if not one.is_sure}):
        click.echo(_UNSURE.format(", ".join(hosts)))


def _tell_left(orphan: Orphan) -> str:
    if orphan.job:
        return f"job {orphan.title} ({orphan.stage} {orphan.key}) is {orphan.state}"
    (writer,) = orphan.writers
    return f"{writer}; end it there: kill {writer.process}"


def _tell_passed(orphan: Orphan) -> str:
    what = f"job {orphan.title} ({orphan.stage} {orphan.key})" if orphan.job else str(orphan.writers[0])
    return f"{what}: its run is of {orphan.host}; end it there, or add --other-hosts"
