"""`mixlab adopt`: a checkpoint that was made elsewhere as the artifact of a spec."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from mixlab.artifacts.manifest import Manifest
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.cli._common import (
    example,
    json_option,
    open_store,
    print_json,
    render_count,
    study_option,
)
from mixlab.cli.explain import find_node, plan_studies
from mixlab.config.problems import ConfigError
from mixlab.plan.adoption import ADOPTABLE, build_template, find_adopted
from mixlab.plan.graph import Node, Plan
from mixlab.plan.stages import STAGES

_EXAMPLES = (
    "mixlab adopt --template 'even/mixture_seed 1/ipt_seed 1/ipt' --study micro --spec even.json",
    "mixlab adopt checkpoints/even --as ipt --spec even.json --reason 'run 4711, before the study'",
)


@click.command(epilog=example(*_EXAMPLES))
@click.argument("folder", metavar="[PATH]", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--as", "stage", type=click.Choice(ADOPTABLE), help="Stage whose artifact it is to be.")
@click.option(
    "--spec",
    "file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON or YAML: stage, spec and parents.",
)
@click.option("--reason", metavar="TEXT", help="Why it is trusted to be that; committed with its provenance.")
@click.option("--template", metavar="KEY|LABEL", help="Write FILE for this artifact of a study, and adopt nothing.")
@click.option("--link", is_flag=True, help="Hard-link the files instead of copying them: then do not write into them.")
@study_option
@json_option
def command(
    folder: Path | None,
    stage: str | None,
    file: Path,
    reason: str | None,
    template: str | None,
    link: bool,
    studies: Sequence[str],
    as_json: bool,
) -> None:
    """Certify the checkpoint in PATH as the artifact that FILE describes: the same key, marked as adopted.

    PATH holds config.json and safetensors, for ipt with snapshots in folders last-00 (the newest), last-01, ... The
    files are compared with what the spec asks for; whether they were trained as it says only you can know.
    """
    store = open_store()
    states = read_states(store, STAGES)
    if template is not None:
        if folder or stage or reason or link:
            raise click.UsageError("--template adopts nothing: it goes with --spec and --study alone")
        _write_template(find_node(plan_studies(store.root, studies), template, None, states), file, as_json)
        return
    if folder is None or stage is None or reason is None or not reason.strip():
        raise click.UsageError("to adopt, give PATH, --as STAGE, --spec FILE and --reason TEXT")
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    plan = plan_studies(store.root, studies)
    node, manifest = _adopt(store, states, plan, folder, stage, file, " ".join(reason.split()), link)
    if as_json:
        print_json({"stage": node.stage, "key": node.key, "label": node.label, "digest": manifest.digest})
        return
    click.echo(f"{node.stage} {node.key} ({node.label}): adopted, {render_count(len(manifest.files), 'file')}")


def _write_template(node: Node, file: Path, as_json: bool) -> None:
    card = build_template(node)
    if file.exists():
        raise ConfigError(f"{file}: is there already; name another file, or remove it")
    try:
        file.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error
    if as_json:
        print_json(card)
    else:
        click.echo(f"{file}: {node.stage} {node.key} ({node.label})")


def _adopt(
    store: Store, states: States, plan: Plan, folder: Path, stage: str, file: Path, reason: str, link: bool
) -> tuple[Node, Manifest]:
    # torch takes seconds to import, and a mistake in the file is told without it
    node = find_adopted(file, stage, plan, states)
    from mixlab.stages.adopting import adopt, require_free

    require_free(store, states, node)
    return node, adopt(store, plan, node, folder, reason, link=link)
