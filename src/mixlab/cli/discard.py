"""`mixlab discard`: drop data on purpose, and say so in git."""

from collections.abc import Sequence

import click

from mixlab.artifacts.dropping import discard_artifacts, list_unpushed
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.states import Name, States, read_states
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import describe_stray, find_strays
from mixlab.artifacts.tombstones import Tombstone
from mixlab.cli._common import example, json_option, open_store, print_json, render_bytes, render_count
from mixlab.cli._needs import estimate_cost, list_needing
from mixlab.cli._selection import count_stages, describe_names, plan_named, select_names
from mixlab.cli.explain import plan_studies
from mixlab.config.problems import ConfigError, Problem
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES


@click.command(epilog=example('mixlab discard ipt --reason "averaged"', 'mixlab discard 431b --reason "wrong"'))
@click.argument("what", nargs=-1, required=True, metavar="STAGE|KEY...")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the tombstone.")
@click.option("--unpushed", is_flag=True, help="Also what is on no remote: its only copy.")
@click.option("--force", is_flag=True, help="Also what an unfinished artifact still needs.")
@json_option
def command(what: tuple[str, ...], reason: str, unpushed: bool, force: bool, as_json: bool) -> None:
    """Drop the data of artifacts here and in the cache, and leave a tombstone that counts as finished.

    Copies on a remote stay. Nothing wants the data back, unless something below it has to be made again. Refused for
    aggregates and reports, for what an unfinished artifact needs (--force), and for the only copy or bytes that the
    pointer does not name (--unpushed).
    """
    store = open_store()
    states = read_states(store, STAGES)
    names = [
        name for name in select_names(plan_named(store, what), states, what) if name in states.complete | states.tracked
    ]
    if not names:
        raise ConfigError(f"nothing of {', '.join(what)} is here or tracked, so there is nothing to discard")
    plan = plan_studies(store.root, ())
    _refuse(store, plan, states, names, force, unpushed)
    tombstones = discard_artifacts(store, names, reason)
    if as_json:
        print_json({"discarded": describe_names(names), "bytes": sum(one.bytes for one in tombstones)})
    else:
        _print(tombstones)


def _refuse(store: Store, plan: Plan, states: States, names: Sequence[Name], force: bool, unpushed: bool) -> None:
    """Raise when something must not be dropped, naming each artifact, and what making it again would cost."""
    kept = [name for name in names if not STAGES[name[0]].discardable]
    if kept:
        lines = [f"{stage} {key}: {stage} cannot be discarded; it is what a study is for" for stage, key in kept]
        raise ConfigError(map(Problem, lines))
    cost = estimate_cost(store, plan, states, names)
    needing = {} if force else list_needing(plan, states, names)
    if needing:
        lines = [
            f"{stage} {key}: needed by {nodes[0].stage} {nodes[0].label}" for (stage, key), nodes in needing.items()
        ]
        raise ArtifactError("\n".join([*lines, f"{cost}; finish the study first, or add --force"]))
    if strays := [] if unpushed else find_strays(store, names):
        lines = [describe_stray(store, name) for name in strays]
        raise ArtifactError("\n".join([*lines, f"{cost}; --unpushed drops what is here, even an only copy"]))
    only = [] if unpushed else list_unpushed(store, names)
    if only:
        lines = [f"{stage} {key}: on no remote" for stage, key in only]
        cure = "`mixlab track --push` uploads it, --unpushed drops the only copy"
        raise ArtifactError("\n".join([*lines, f"{cost}; {cure}"]))


def _print(tombstones: Sequence[Tombstone]) -> None:
    names = [(one.stage, one.key) for one in tombstones]
    size = render_bytes(sum(one.bytes for one in tombstones))
    click.echo(f"Discarded {render_count(len(names), 'artifact')} ({size}): {count_stages(names)}")
    click.echo("Left to you:\n  git add --all tracked discarded\n  git commit")
