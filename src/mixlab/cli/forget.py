"""`mixlab forget`: drop pointers of data that is lost."""

import click

from mixlab.artifacts.history import TRACKED, list_uncommitted
from mixlab.artifacts.pointers import drop_pointers
from mixlab.artifacts.recompute import read_recompute, write_recompute
from mixlab.artifacts.states import read_states
from mixlab.cli._common import example, json_option, open_store, print_json, render_count
from mixlab.cli._selection import describe_names, select_names
from mixlab.config.problems import ConfigError, Problem
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES


@click.command(epilog=example("mixlab forget 431bfac04c1bd901"))
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@json_option
def command(keys: tuple[str, ...], as_json: bool) -> None:
    """Drop the pointers of artifacts, and nothing else: no data is removed, here or on the remote.

    An artifact that is not here then counts as undone, and the next run that needs it makes it again.
    """
    store = open_store()
    names = select_names(Plan(), read_states(store, STAGES), keys)
    untracked = [name for name in names if not store.pointer(*name).is_file()]
    if untracked:
        raise ConfigError([Problem(f"{stage} {key}: has no pointer to forget") for stage, key in untracked])
    paths = drop_pointers(store, names)
    write_recompute(store, read_recompute(store).difference(names))
    left = set(list_uncommitted(store.root, [TRACKED]))
    places = [place for place in (path.relative_to(store.root).as_posix() for path in paths) if place in left]
    if as_json:
        print_json({"forgotten": describe_names(names)})
        return
    click.echo(f"Forgot {render_count(len(paths), 'pointer')}.")
    if places:
        click.echo(f"Left to you:\n  git add {' '.join(places)}\n  git commit")
