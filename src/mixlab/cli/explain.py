"""`mixlab explain`: all that is known of one artifact."""

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import KEY_LENGTH, split_reference
from mixlab.artifacts.locks import list_writers
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import (
    example,
    find_state,
    json_option,
    list_every_study,
    open_store,
    print_json,
    render_bytes,
    study_option,
)
from mixlab.cli._why import describe_reason, find_reason, print_reason
from mixlab.config.problems import ConfigError, did_you_mean
from mixlab.plan.build import build_plan, list_startable
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan, Roles, drop_study
from mixlab.plan.stages import STAGES

SHORTEST_PREFIX = 4
_LISTED = 10
_PLACE = re.compile(rf"(?:artifacts|tracked|discarded|work|provenance)/\w+/([0-9a-f]{{{KEY_LENGTH}}})(?:[./]|$)")


@click.command(epilog=example("mixlab explain 431b", "mixlab explain even/mixture_seed --stage mixture --why"))
@click.argument("what", metavar="KEY|LABEL|PATH")
@click.option("--why", is_flag=True, help="Say why it would run, against the finished artifact most like it.")
@click.option("--stage", type=click.Choice(tuple(STAGES)), help="Look among the artifacts of this stage.")
@study_option
@json_option
def command(what: str, why: bool, stage: str | None, studies: Sequence[str], as_json: bool) -> None:
    """Explain one artifact: spec, parents, children, where it is, who made it; with --why, why it would run.

    KEY is a key or its first digits (at least 4), LABEL a label or a part of one, PATH a place below artifacts/ or
    tracked/. Without --study: all studies.
    """
    store = open_store()
    states = read_states(store, STAGES)
    plan = plan_studies(store.root, studies)
    node = find_node(plan, read_path(store.root, what), stage, states)
    if why:
        reason = find_reason(store, states, plan, node)
        if as_json:
            print_json(describe_reason(reason))
        else:
            print_reason(reason)
        return
    card = describe(store, states, plan, node)
    if as_json:
        print_json(card)
    else:
        _print(card)


def read_path(root: Path, what: str) -> str:
    """Return the key in a path such as `artifacts/ipt/KEY/manifest.json` or `tracked/ipt/KEY.dvc`; else what it got.

    A path may also begin with `./` or be absolute, by any name of the checkout that links give it.
    """
    place = root / what
    tried = os.path.relpath(place, root), os.path.relpath(os.path.realpath(place), os.path.realpath(root))
    found = next(filter(None, map(_PLACE.match, tried)), None)
    return found[1] if found else what


def plan_studies(root: Path, names: Sequence[str]) -> Plan:
    """Plan the named studies; without names all of them, those with mistakes left out with a warning.

    Those in folders count too, but for what was never locked and so never ran.
    """
    if names:
        return build_plan(root, names, check_files=False).plan
    try:
        present = list_startable(root)
    except ConfigError:
        present = list_every_study(root)
    if present:
        with suppress(ConfigError):
            return build_plan(root, present, check_files=False).plan
    good = []
    for name in present:
        try:
            build_plan(root, [name], check_files=False)
        except ConfigError as error:
            click.echo(f"mixlab: not looked at, because of mistakes: {name} ({error.problems[0]})", err=True)
        else:
            good.append(name)
    return build_plan(root, good, check_files=False).plan if good else Plan()


def find_node(plan: Plan, what: str, stage: str | None, states: States) -> Node:
    """Find the one node with a key, a beginning of a key, a label, or a part of a label.

    Raises ConfigError when there is none, or more than one; it names what `states` knows and no study asks for.
    """
    nodes = [node for node in plan.nodes.values() if stage in (None, node.stage)]
    if len(what) >= SHORTEST_PREFIX and set(what) <= set("0123456789abcdef"):
        found = [node for node in nodes if node.key.startswith(what)]
        if found:
            return _only(found, what)
    by_label = (
        [node for node in nodes if what in node.labels],
        [node for node in nodes if any(label.endswith(f"/{what}") for label in node.labels)],
        [node for node in nodes if any(what in label for label in node.labels)],
    )
    found = next((matching for matching in by_label if matching), [])
    if found:
        return _only(found, what)
    raise ConfigError(f"no artifact of a study has the key or label '{what}'{_find_hint(plan, nodes, what, states)}")


def _find_hint(plan: Plan, nodes: Sequence[Node], what: str, states: States) -> str:
    if len(what) < SHORTEST_PREFIX:
        return f"; a key needs at least {SHORTEST_PREFIX} digits"
    known = {**dict.fromkeys(states.discarded, "discarded"), **dict.fromkeys(states.tracked, "tracked")}
    known |= dict.fromkeys(states.complete, "complete")
    strays = [f"{stage} {key} ({known[stage, key]})" for stage, key in sorted(known) if key.startswith(what)]
    if strays:
        return f"; no study of this checkout asks for {', '.join(strays)}, whose manifest.json says what it is"
    if not nodes:
        return "; no study here asks for any artifact, or for any of the stage that --stage names"
    return did_you_mean(what, _list_names(plan, nodes))


def _list_names(plan: Plan, nodes: Sequence[Node]) -> list[str]:
    """Keys, labels, and labels without their study: all that a user may have meant."""
    labels = [label for node in nodes for label in node.labels]
    return [*(node.key for node in nodes), *labels, *(drop_study(label, plan.targets) for label in labels)]


def _only(found: Sequence[Node], what: str) -> Node:
    if len(found) == 1:
        return found[0]
    lines = [f"{node.stage} {node.key} {node.label}" for node in found[:_LISTED]]
    rest = [f"and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    nearest = did_you_mean(what, [label for node in found for label in node.labels])
    head = f"'{what}' may be any of {len(found)} artifacts{nearest or '; write more of it, or add --stage'}"
    raise ConfigError("\n".join([head, *lines, *rest]))


@dataclass(frozen=True)
class _Describer:
    plan: Plan
    states: States

    def reference(self, reference: str) -> dict[str, Any]:
        """Describe a parent, a read or a child in one line."""
        key, member = split_reference(reference)
        node = self.plan.nodes[key]
        card = {"stage": node.stage, "key": key, "label": node.label, "state": find_state(self.states, node.name)}
        return card | ({"member": member} if member else {})

    def roles(self, roles: Roles) -> dict[str, list[dict[str, Any]]]:
        """Describe what stands in each role."""
        return {role: [self.reference(one) for one in references] for role, references in roles.items()}


def describe(store: Store, states: States, plan: Plan, node: Node) -> dict[str, Any]:
    """Gather all that plan, store, pointers and provenance say of a node."""
    describer = _Describer(plan, states)
    return {
        "stage": node.stage,
        "key": node.key,
        "makes": STAGES[node.stage].makes,
        "labels": node.labels,
        "state": find_state(states, node.name),
        "places": list_places(store, node),
        "writers": [str(one) for one in list_writers(store.work) if (one.stage, one.key) == node.name],
        "artifact": _describe_files(store, node),
        "parents": describer.roles(node.parents),
        "reads": describer.roles(node.reads),
        "children": [describer.reference(key) for key in plan.children()[node.key]],
        "provenance": read_provenance(store, *node.name),
        "spec": to_plain(node.spec),
    }


def list_places(store: Store, node: Node) -> list[str]:
    """List where something of the artifact is, relative to the working folder."""
    stage, key = node.name
    places = (
        store.folder(stage, key),
        store.pointer(stage, key),
        store.tombstone(stage, key),
        store.work / stage / key,
    )
    return [path.relative_to(store.root).as_posix() for path in places if path.exists()]


def _describe_files(store: Store, node: Node) -> dict[str, Any] | None:
    if not store.is_complete(*node.name):
        return None
    try:
        manifest = read_manifest(store.folder(*node.name))
    except ArtifactError as error:
        return {"error": str(error)}
    return {"digest": manifest.digest, "bytes": manifest.bytes, "files": len(manifest.files)} | (
        {"members": list(manifest.members)} if manifest.members else {}
    )


def _print(card: dict[str, Any]) -> None:
    click.echo(f"{card['stage']} {card['key']}: {card['makes']}")
    click.echo(f"state     {card['state']}{'' if card['state'] != 'absent' else ' (not made, or not kept)'}")
    for name, lines in (("label", card["labels"]), ("place", card["places"]), ("writer", card["writers"])):
        for line in lines:
            click.echo(f"{name:8}  {line}")
    files = card["artifact"]
    if files is not None:
        shown = files.get("error") or f"{files['digest']}, {files['files']} files, {render_bytes(files['bytes'])}"
        click.echo(f"digest    {shown}")
    for kind in ("parents", "reads"):
        for role, references in card[kind].items():
            click.echo(f"{kind}: {role}")
            _print_references(references)
    if card["children"]:
        click.echo("children")
        _print_references(card["children"])
    for record in card["provenance"]:
        commit = str(record.get("commit", ""))[:12] or "no commit"
        where = f"{record.get('host', '?')}, {record.get('seconds', '?')} s, commit {commit}"
        click.echo(f"made      {record.get('error') or record.get('finished', '?')} {where}")
        for name, value in sorted(record.get("facts", {}).items()):
            click.echo(f"  {name}: {value}")
    click.echo("spec")
    click.echo(json.dumps(card["spec"], indent=2, ensure_ascii=False))


def _print_references(references: Sequence[dict[str, Any]]) -> None:
    for one in references:
        member = f":{one['member']}" if "member" in one else ""
        key = f"{one['key']}{member}".ljust(KEY_LENGTH)
        click.echo(f"  {one['stage']} {key}  {one['state']:9}  {one['label']}")
