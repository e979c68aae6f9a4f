"""`mixlab status`: where a study stands, now or live."""

import json
from collections.abc import Sequence

import click

from mixlab.artifacts.spending import Ledger
from mixlab.cli._common import example, json_option, open_store, print_json, render_plain
from mixlab.cli._live import Frame, show_again, show_lines
from mixlab.cli._status import Looker, View, describe_view
from mixlab.cli._status_text import render_summary, render_view
from mixlab.plan.build import build_plan


@click.command(epilog=example("mixlab status", "mixlab status demo --watch", "mixlab status --json"))
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option("--watch", is_flag=True, help="Look again and again, until the study is finished; `q` leaves.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=None,
    metavar="SECONDS",
    help="With --watch: seconds between two looks.  [default: 2]",
)
@json_option
def command(studies: Sequence[str], watch: bool, every: float | None, as_json: bool) -> None:
    """Show of each stage what is done, running, waiting and failed; jobs at work, and why others failed.

    Without STUDY: the studies that config.yaml names. Starts and changes nothing, and asks neither Snakemake, DVC nor
    Slurm. `spent` is the time of the jobs that made what is here, `left` that of those to come, by the median of their
    stage. The exit code is 0 whatever the state, 130 after Ctrl-C. With --watch and --json: a document a line, for each
    look.
    """
    if every is not None and not watch:
        raise click.UsageError("--every goes with --watch")
    store = open_store()
    looker = Looker(store, build_plan(store.root, studies, check_files=False).plan, Ledger(store))
    if watch and as_json:
        show_lines(lambda: _describe_frame(looker.look()), every or 2.0, dated=False)
    elif watch:
        show_again(lambda: _render_frame(looker.look()), every or 2.0)
    elif as_json:
        print_json(describe_view(looker.look()))
    else:
        click.echo(render_view(looker.look()))


def _describe_frame(view: View) -> Frame:
    line = json.dumps(describe_view(view), ensure_ascii=False)
    return Frame(line, line, view.status.is_done)


def _render_frame(view: View) -> Frame:
    """What --watch shows of a look; a log is told what changes, not how time goes by."""
    finished = f"\n{', '.join(view.studies)}: finished" if view.status.is_done else ""
    return Frame(render_view(view) + finished, _summarise(view), view.status.is_done)


def _summarise(view: View) -> str:
    """A line with what changed since the last that counts: numbers, and the newest failure."""
    newest = [failure.attempt for failure, _, _ in view.failures[:1]]
    whys = [render_plain((one.error.splitlines() or ["killed"])[0]) for one in newest]
    told = [f"; newest failure: {one.stage} {one.key} ({why})" for one, why in zip(newest, whys, strict=True)]
    return render_summary(view) + "".join(told) + ("; finished" if view.status.is_done else "")
