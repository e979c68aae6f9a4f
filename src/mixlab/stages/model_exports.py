"""A model as a folder that transformers reads, with its card: what `mixlab export --format transformers` writes."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mixlab.analysis.cells import Cell, build_cells
from mixlab.artifacts.manifest import MANIFEST
from mixlab.config.base_models import HubModel
from mixlab.config.problems import ConfigError, did_you_mean
from mixlab.config.report_data import DataShown, ShownMixture
from mixlab.config.sources import HubOrigin
from mixlab.config.study import Study
from mixlab.data.exports.chat_jinja import write_tokenizer_files
from mixlab.data.tokens.tokenizer import TOKENIZER_FILE, read_vocabulary
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import MODEL_ROLES, Node, Plan
from mixlab.plan.specs import BaseModelSpec, ReportSpec, SourceSpec
from mixlab.report.data import load_data_figures
from mixlab.report.model_card import CardFacts, Step, render_model_card
from mixlab.stages.pages import Shelf, hold, read_makings

MODELS = ("base_model", "pretrain", "ipt", "average", "sft")
"""Stages that make models."""
README = "README.md"
_TAKEN = (".safetensors", "config.json", "generation_config.json", ".safetensors.index.json")


def write_model(shelf: Shelf, study: Study, node: Node, member: str, licence: str, out: Path) -> None:
    """Write weights, config, tokenizer, chat template and README.md of a model into `out`.

    Raises ConfigError for a member that the model's artifact has not, ArtifactError for what is not here or damaged.
    """
    folder = shelf.store.open(*node.name)
    _copy_weights(node, folder, member, out)
    base = shelf.plan.find_base(node)
    tokenizer = shelf.plan.nodes[base.parents["tokenizer"][0]]
    place = shelf.store.open(*tokenizer.name)
    shutil.copyfile(place / TOKENIZER_FILE, out / TOKENIZER_FILE)
    chat = study.chat_of(tokenizer.label.rpartition("/")[2])
    write_tokenizer_files(read_vocabulary(place), chat, out)
    (out / README).write_text(render_model_card(gather_card(shelf, study, node, member, licence)), encoding="utf-8")


def _copy_weights(node: Node, folder: Path, member: str, out: Path) -> None:
    models = sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob("config.json"))
    wanted = member or "."
    if wanted not in models:
        named = [one for one in models if one != "."]
        hint = did_you_mean(member, named) if member else ""
        cure = f"name one with --member: {', '.join(named)}" if named else "leave out --member"
        what = f"no model '{member}'" if member else "no model at its root"
        raise ConfigError(f"{node.stage} {node.key} has {what}{hint}; {cure}")
    for path in sorted((folder / wanted).iterdir()):
        if path.name.endswith(_TAKEN) and path.name != MANIFEST:
            shutil.copyfile(path, out / path.name)


def gather_card(shelf: Shelf, study: Study, node: Node, member: str, licence: str) -> CardFacts:
    """Gather what a model's lineage says of it; what is not here is said in its place."""
    report = shelf.report.spec
    assert isinstance(report, ReportSpec)
    shown = report.report.data or DataShown()
    chain = list(_list_chain(shelf.plan, node))
    base = chain[0]
    reference = f"{node.key}:{member}" if member else node.key
    cells, unscored = _read_cells(shelf, reference)
    mixtures = list(_list_mixtures(chain, shown))
    beside = [key for role, keys in shelf.report.parents.items() if role != "aggregate" for key in keys]
    sources = [shelf.plan.nodes[key] for key in list_sources(shown, mixtures)]
    names = sorted({name.partition("/")[0] for mixture in mixtures for name in mixture.sources})
    records = read_makings(shelf, node)
    return CardFacts(
        name=" ".join([*shelf.name_point(node).split("/"), member]).strip() or node.label,
        study=shelf.study,
        title=study.title,
        reference=reference,
        licence=licence,
        base_id=origin.id if (origin := _find_origin(base)) is not None else "",
        base=f"{base.label.rpartition('/')[2]}, {_describe_base(base)}",
        languages=sorted({str(study.sources[name].language) for name in names if study.sources[name].language}),
        datasets=sorted({one for node in sources if (one := _find_dataset(node))}),
        steps=[_describe_step(shelf, one) for one in chain],
        shown=shown,
        mixtures=mixtures,
        figures=load_data_figures(shown, shelf.folders(beside)),
        cells=cells,
        unscored=unscored,
        commit=str(records[-1].get("commit", "")) if records else "",
        command=f"snakemake --profile local artifacts/{node.stage}/{node.key}/{MANIFEST} --config study={shelf.study}",
    )


def _list_chain(plan: Plan, node: Node) -> Iterator[Node]:
    """Yield the models that a model goes back to, oldest first, itself last."""
    above = next((node.parents[role] for role in MODEL_ROLES[::-1] if node.parents.get(role)), None)
    if above is not None:
        yield from _list_chain(plan, plan.nodes[above[0].partition(":")[0]])
    yield node


def _list_mixtures(chain: Sequence[Node], shown: DataShown) -> Iterator[ShownMixture]:
    keys = [key for node in chain for key in node.parents.get("mixture", ())]
    named = {mixture.key: mixture for mixture in shown.mixtures}
    return (named[key] for key in dict.fromkeys(keys) if key in named)


def list_sources(shown: DataShown, mixtures: Sequence[ShownMixture]) -> list[str]:
    """List the keys of the sources that mixtures draw from, in order.

    What records were only compared with (benchmarks, other sources) is behind a mixture too, and is not in it.
    """
    drawn = {shown.source(name).source for mixture in mixtures for name in mixture.sources}
    return sorted(key for key in drawn if key is not None)


def _find_origin(base: Node) -> HubModel | None:
    if isinstance(base.spec, BaseModelSpec) and isinstance(base.spec.base_model.origin, HubModel):
        return base.spec.base_model.origin
    return None


def _describe_base(base: Node) -> str:
    origin = _find_origin(base)
    if origin is not None:
        return f"{origin.id} of the hub at commit {origin.revision}"
    return "trained from scratch" if base.stage == "pretrain" else "read from a folder"


def _find_dataset(node: Node) -> str | None:
    origin = node.spec.source.origin if isinstance(node.spec, SourceSpec) else None
    return origin.id if isinstance(origin, HubOrigin) else None


def _describe_step(shelf: Shelf, node: Node) -> Step:
    held = hold(shelf, node)
    spec = {name: value for name, value in to_plain(node.spec).items() if name != "version"}
    return Step(node.stage, node.key, held.digest, dict(_flatten(spec)), held.made[-1] if held.made else "")


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in value.items():
        if isinstance(one, Mapping):
            yield from _flatten(one, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", one


def _read_cells(shelf: Shelf, reference: str) -> tuple[list[Cell], str]:
    """Read what one model scored, benchmark by benchmark; the second says why there is nothing."""
    plan = shelf.plan
    for node in (plan.nodes[key] for key in shelf.aggregate.parents["scores"]):
        responses = {plan.nodes[key].parents["responses"][0] for key in node.parents["results"]}
        if reference in {one for key in responses for one in plan.nodes[key].parents.get("model", ())}:
            if node.name not in shelf.states.complete:
                return [], f"Its scores are not here: {shelf.explain_absence(node)}"
            return build_cells(pd.read_parquet(shelf.store.open(*node.name) / "scores.parquet")), ""
    return [], f"The study '{shelf.study}' does not evaluate this model"
