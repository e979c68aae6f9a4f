"""`mixlab drift`: what was made by code that has changed since, and what was made under unlike conditions."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from mixlab.artifacts.states import read_states
from mixlab.cli._common import (
    example,
    json_option,
    open_store,
    print_json,
    render_count,
    render_table,
)
from mixlab.cli._selection import describe_names
from mixlab.plan.build import build_plan, list_startable
from mixlab.plan.drift import Drift, Findings, Mixed, find_drift, has_old_version, list_members
from mixlab.plan.stages import STAGES

FOUND = 1
"""Exit code with --strict when something was found."""
_SHOWN = 8


@click.command(epilog=example("mixlab drift", "mixlab drift demo --strict", "mixlab drift --all --json"))
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option("--all", "everything", is_flag=True, help="All artifacts that are here or tracked, of any study.")
@click.option("--strict", is_flag=True, help="Leave with exit code 1 when something is found.")
@json_option
def command(studies: Sequence[str], everything: bool, strict: bool, as_json: bool) -> None:
    """List artifacts whose stage's code changed since they were made, though no version was raised.

    Compared is each file of mixlab that the process had loaded, by what it means: comments, docstrings and layout of
    Python mean nothing. Listed as well is what was made under unlike versions, devices or engines: of one key, and of
    one stage within a study. Without names: the studies that config.yaml names.

    With --strict, files that every stage loads (settings, plan, doors) count as nothing found.
    """
    store = open_store()
    names = tuple(list_startable(store.root)) if everything and not studies else studies
    plan = build_plan(store.root, names, check_files=False).plan
    states, members = read_states(store, STAGES), list_members(plan)
    wanted = {name for some in members.values() for name in some}
    there = states.complete | states.tracked
    if everything:
        strays = there - wanted
        wanted |= {one for one in strays if one not in states.complete or not has_old_version(store, one)}
    found = find_drift(store, wanted & there, members)
    if as_json:
        print_json(_describe(found))
    else:
        _print(found)
    if strict and found.serious:
        sys.exit(FOUND)


def _print(found: Findings) -> None:
    own, shared = ([one for one in found.drifts if bool(one.own) == wanted] for wanted in (True, False))
    if own:
        click.echo("Made by code that means something else now, by the same version of the stage:")
        rows = [(one.stage, len(one.names), _render_commits(one), _render_files(one)) for one in own]
        click.echo(render_table(("stage", "artifacts", "made at", "files that changed"), rows))
    if shared:
        count = sum(len(one.names) for one in shared)
        files = sorted({file for one in shared for file in one.shared})
        click.echo(f"Of {render_count(count, 'artifact')} only files changed that every stage loads:")
        click.echo(_list_some(files))
    for title, mixed in (("Made several times, unlike:", found.remade), ("Mixed within a study:", found.mixed)):
        if mixed:
            click.echo(title)
            click.echo(render_table(("what", "stage", "condition", "values"), [_render_mixed(one) for one in mixed]))
    for why, names in found.unknown.items():
        click.echo(f"Not known for {render_count(len(names), 'artifact')}: {why}.")
    click.echo(f"{render_count(found.looked_at, 'artifact')} looked at, {render_count(found.serious, 'finding')}.")


def _render_commits(one: Drift) -> str:
    return ", ".join(_shorten(commit) for commit in one.commits[:3]) + (" …" if len(one.commits) > 3 else "")


def _shorten(commit: str) -> str:
    name, plus, changes = commit.partition("+")
    return f"{name[:12]}{plus}{changes}" if name else "no commit"


def _render_files(one: Drift) -> str:
    files = [f"{file} ({how})" if how != "changed" else file for file, how in one.own.items()]
    more = f"; and {render_count(len(one.shared), 'file')} that every stage loads" if one.shared else ""
    return ", ".join(_cut(files)) + more


def _cut(lines: Sequence[str]) -> list[str]:
    return [*lines[:_SHOWN], *([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])]


def _list_some(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in _cut(lines))


def _render_mixed(one: Mixed) -> tuple[str, str, str, str]:
    values = ", ".join(f"{value} ({len(names)})" for value, names in one.values.items())
    return one.what, one.stage, one.field, values


def _describe(found: Findings) -> dict[str, Any]:
    return {
        "looked_at": found.looked_at,
        "findings": found.serious,
        "drifts": [
            {
                "stage": one.stage,
                "code_digest": one.code_digest,
                "artifacts": describe_names(one.names),
                "commits": one.commits,
                "own_files": dict(one.own),
                "shared_files": dict(one.shared),
            }
            for one in found.drifts
        ],
        "remade": _describe_mixed(found.remade),
        "mixed": _describe_mixed(found.mixed),
        "unknown": [{"why": why, "artifacts": describe_names(names)} for why, names in found.unknown.items()],
    }


def _describe_mixed(mixed: Iterable[Mixed]) -> list[dict[str, Any]]:
    return [
        {
            "what": one.what,
            "stage": one.stage,
            "condition": one.field,
            "values": [{"value": value, "artifacts": describe_names(names)} for value, names in one.values.items()],
        }
        for one in mixed
    ]
