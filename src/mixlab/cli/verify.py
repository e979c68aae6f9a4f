"""`mixlab verify`: compare artifacts with their digests, and replace the damaged ones."""

import sys

import click

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.manifest import check_files, read_manifest
from mixlab.artifacts.restoring import repair_artifact
from mixlab.artifacts.states import Name, read_states
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import describe_stray, find_strays
from mixlab.cli._common import example, json_option, open_store, print_error, print_json, render_count
from mixlab.cli._selection import plan_named, select_names
from mixlab.config.problems import ConfigError
from mixlab.plan.stages import STAGES

DAMAGED = 1
"""Exit code when something is wrong and was not repaired."""
_FOUND = {False: "damaged", True: "whole, but not what is tracked"}


@click.command(epilog=example("mixlab verify", "mixlab verify ipt", "mixlab verify --repair 431bfac04c1bd901"))
@click.argument("what", nargs=-1, metavar="[KEY|STAGE|STUDY]...")
@click.option("--repair", is_flag=True, help="Discard what is damaged, and fetch it again where it is tracked.")
@json_option
def command(what: tuple[str, ...], repair: bool, as_json: bool) -> None:
    """Read artifacts and compare every file with its digest; without names, all that are here.

    Exit code 1 when something is wrong. With --repair a damaged artifact that is tracked is replaced by its good copy
    (the cache's copies are checked as well: they may be the same bytes); one that is not is removed, and the next run
    makes it again; one of which no good copy exists stays, with exit code 2. What is whole, but not the bytes that its
    pointer names, is wrong as well; `mixlab merge --keep` decides about it.
    """
    store = open_store()
    states = read_states(store, STAGES)
    names = sorted(states.complete)
    if what:
        names = [name for name in select_names(plan_named(store, what), states, what) if name in states.complete]
        if not names:
            raise ConfigError(f"nothing of {', '.join(what)} is here, so there is nothing to verify")
    damaged = {name: wrong for name in names if (wrong := find_damage(store, name))}
    outcomes, hopeless = _repair(store, damaged) if repair else ({}, [])
    strays = {name: [describe_stray(store, name)] for name in find_strays(store, set(names) - set(damaged))}
    damaged |= strays
    if as_json:
        cards = [
            {"stage": name[0], "key": name[1], "problems": wrong, "outcome": outcomes.get(name, _FOUND[name in strays])}
            for name, wrong in damaged.items()
        ]
        print_json({"checked": len(names), "damaged": cards})
    else:
        for name, wrong in damaged.items():
            click.echo(f"{name[0]} {name[1]}: {outcomes.get(name, _FOUND[name in strays])}")
            click.echo("\n".join(f"  {one}" for one in wrong))
        click.echo(f"{render_count(len(names), 'artifact')} checked, {len(damaged)} damaged, {len(outcomes)} mended.")
    for error in hopeless:
        print_error(error)
    if hopeless:
        sys.exit(ArtifactError.exit_code)
    if len(outcomes) < len(damaged):
        sys.exit(DAMAGED)


def find_damage(store: Store, name: Name) -> list[str]:
    """List what is wrong with an artifact that is here, file by file."""
    folder = store.folder(*name)
    try:
        manifest = read_manifest(folder)
    except ArtifactError as error:
        return [str(error)]
    if (manifest.stage, manifest.key) != name:
        return [f"{folder}: its manifest is of {manifest.stage} {manifest.key}"]
    return check_files(folder, manifest)


def _repair(store: Store, damaged: dict[Name, list[str]]) -> tuple[dict[Name, str], list[ArtifactError]]:
    outcomes: dict[Name, str] = {}
    hopeless: list[ArtifactError] = []
    for name in damaged:
        try:
            fetched = repair_artifact(store, name)
        except ArtifactError as error:
            hopeless.append(error)
        else:
            outcomes[name] = "replaced by its tracked copy" if fetched else "removed; the next run makes it again"
    return outcomes, hopeless
