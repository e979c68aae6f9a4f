"""`mixlab labels`: what labelling would cost, and how far its labels agree with people's."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from mixlab.artifacts.store import Draft, Store
from mixlab.cli._common import example, json_option, open_store, print_json, render_table
from mixlab.config.categories import CATEGORIES
from mixlab.config.labelling import LabelSettings, RulesLabelEngine
from mixlab.config.problems import ConfigError, DataError, Problem, did_you_mean
from mixlab.data.labels.labelling import NOT_ASKED, UNPARSABLE, count_work, render_work
from mixlab.data.labels.questions import render_dialogue
from mixlab.data.records import Record
from mixlab.data.sources.selection import read_excluded
from mixlab.data.sources.source import count_records
from mixlab.evaluation.agreement import Agreement, measure_agreement
from mixlab.evaluation.hand_labels import digest_dialogue, find_dialogues, match_hand_labels, read_hand_labels
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.graph import Node
from mixlab.plan.planfile import PlanFile
from mixlab.plan.specs import LabelSpec
from mixlab.stages.doorway import open_inputs
from mixlab.stages.job import Session
from mixlab.stages.label import STORE
from mixlab.stages.source import DatasetInput, open_dataset

_NAMES = (*CATEGORIES, "unparsable")
_NEAR_RECORDS = 200_000
"""Records apart up to which two of them are found in one reading."""

_study = click.option("--study", required=True, metavar="NAME", help="Study that labels the source.")
_source = click.argument("source", metavar="SOURCE")
_file = click.Path(path_type=Path, dir_okay=False)


@click.group(epilog=example("mixlab labels check --study mine dialogues --sample hand.jsonl"))
def command() -> None:
    """Category labels by a language model: their cost beforehand, and their agreement with people afterwards.

    Each of the commands takes --json and --help.
    """


@command.command(epilog=example("mixlab labels cost --study mine dialogues"))
@_source
@_study
@json_option
def cost(source: str, study: str, as_json: bool) -> None:
    """Count what labelling SOURCE would ask; nothing is asked. The source, and its filters, must have been built."""
    store = open_store()
    settings, _, data = _open(store, study, source)
    if isinstance(settings.engine, RulesLabelEngine):
        raise ConfigError(f"source '{source}' is labelled by {settings.label}: nothing is asked")
    work = count_work(settings, data.numbered, store.root / STORE)
    if as_json:
        print_json({"source": source, "labeller": settings.label, **vars(work), "open": work.open})
    else:
        click.echo(render_work(settings, work))


@command.command(epilog=example("mixlab labels sample --study mine dialogues --size 200 --output hand.jsonl"))
@_source
@_study
@click.option("--size", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Dialogues to draw.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Which dialogues are drawn.")
@click.option("--output", type=_file, required=True, metavar="FILE", help="File to write; it must not exist.")
@json_option
def sample(source: str, study: str, size: int, seed: int, output: Path, as_json: bool) -> None:
    """Draw dialogues of SOURCE at random for people to label: fill in `category` in each line of the file."""
    settings, _, data = _open(open_store(), study, source)
    rows = [
        {"record": ordinal, "digest": digest_dialogue(record), "category": None}
        | {"dialogue": render_dialogue(settings.shown, record)}
        for ordinal, record in _read(data, draw_ordinals(data, size, seed))
    ]
    try:
        with output.open("x", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    except FileExistsError:
        raise DataError(f"{output} is there already, perhaps with labels in it; choose another --output") from None
    except OSError as error:
        raise DataError(f"{output}: {error.strerror}") from None
    if as_json:
        print_json({"source": source, "output": str(output), "records": [row["record"] for row in rows]})
    else:
        click.echo(f"{output}: {len(rows)} dialogues; fill in `category` with one of {', '.join(CATEGORIES)}")


@command.command(epilog=example("mixlab labels check --study mine dialogues --sample hand.jsonl"))
@_source
@_study
@click.option("--sample", "path", type=_file, required=True, metavar="FILE", help="Hand-labelled dialogues.")
@json_option
def check(source: str, study: str, path: Path, as_json: bool) -> None:
    """Compare the labels of SOURCE with a hand-labelled sample of it.

    Says accuracy, recall and precision by category, Cohen's kappa and the table behind them; they speak for the source
    when the sample was drawn at random. A dialogue whose answer could not be read counts as a disagreement.
    """
    by_hand = read_hand_labels(path)
    store = open_store()
    settings, node, data = _open(store, study, source)
    labels = np.load(store.open(node.stage, node.key) / "labels.npy", allow_pickle=False, mmap_mode="r")
    ordinals = [label.record for label in by_hand if label.record is not None]
    # a dialogue named by its content alone may be anywhere
    rows = data.numbered() if len(ordinals) < len(by_hand) else _read(data, sorted(ordinals))
    matched = match_hand_labels(path, by_hand, find_dialogues(by_hand, rows))
    given = {ordinal: int(labels[ordinal]) for ordinal in sorted(matched)}
    if NOT_ASKED in given.values():
        raise DataError(Problem("some dialogues were excluded before labelling; draw the sample again", str(path)))
    result = measure_agreement(
        [CATEGORIES.index(matched[ordinal].category) for ordinal in given],
        [len(CATEGORIES) if label == UNPARSABLE else label for label in given.values()],
        _NAMES,
    )
    if as_json:
        print_json({"study": study, "source": source, "labeller": settings.label, **describe(result)})
    else:
        click.echo(f"{source}, labelled by {settings.label}, against {result.items} dialogues labelled by hand\n")
        click.echo(render_agreement(result))


@command.command(epilog=example("mixlab labels digest models/tiny-chat"))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
def digest(folder: Path, as_json: bool) -> None:
    """Print the digest of a model folder, for a labeller with engine hf."""
    from mixlab.generation.model_folder import digest_model_folder

    found = digest_model_folder(folder)
    if as_json:
        print_json({"folder": str(folder), "digest": found})
    else:
        click.echo(found)


def draw_ordinals(data: DatasetInput, size: int, seed: int) -> list[int]:
    """Draw sorted ordinals of records that no filter excluded; all of them where there are fewer than `size`."""
    excluded = read_excluded(data.folder) if data.is_filtered else np.empty(0, dtype=np.int64)
    left = count_records(data.root) - len(excluded)
    ranks = np.sort(np.random.default_rng(seed).choice(left, min(size, left), replace=False))
    # rank r is the r-th record that is left: as many excluded ones stand before it as have a smaller rank themselves
    before = np.searchsorted(excluded - np.arange(len(excluded)), ranks, side="right")
    return [int(ordinal) for ordinal in ranks + before]


def describe(result: Agreement) -> dict[str, Any]:
    """Describe an agreement for JSON."""
    return {
        "items": result.items,
        "accuracy": result.accuracy,
        "accuracy_interval_95": list(result.accuracy_interval),
        "kappa": result.kappa,
        "kappa_standard_error": result.kappa_standard_error,
        "categories": {
            name: {"by_hand": one.by_hand, "by_label": one.by_label, "recall": one.recall, "precision": one.precision}
            for name, one in result.categories.items()
            if name in CATEGORIES
        },
        "confusion": {"names": list(_NAMES), "counts": result.confusion.tolist()},
    }


def render_agreement(result: Agreement) -> str:
    """Render an agreement as text."""
    low, high = result.accuracy_interval
    kappa = "undefined: all in one category" if result.kappa is None else f"{result.kappa:.3f}"
    error = "" if result.kappa_standard_error is None else f" ± {result.kappa_standard_error:.3f} (standard error)"
    shares = [
        (name, one.by_hand, one.by_label, _render_share(one.recall), _render_share(one.precision))
        for name, one in result.categories.items()
        if name in CATEGORIES
    ]
    counts = [(name, *row) for name, row in zip(CATEGORIES, result.confusion.tolist(), strict=False)]
    return "\n".join(
        [
            f"accuracy       {result.accuracy:.3f} ({low:.3f} to {high:.3f}, 95 %)",
            f"Cohen's kappa  {kappa}{error}\n",
            render_table(("category", "by hand", "by label", "accuracy (recall)", "precision"), shares),
            "",
            render_table(("by hand \\ label", *_NAMES), counts),
        ]
    )


def _render_share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _open(store: Store, study: str, source: str) -> tuple[LabelSettings, Node, DatasetInput]:
    """Find the labels of a source in the plan of a study, and open the dialogues they are about."""
    planned = build_plan(store.root, [study], check_files=False)
    node = _find(planned, study, source)
    plan_file = PlanFile(planned.plan, planned.config.machine, planned.files)
    inputs = open_inputs(plan_file, node, store, Draft(store, *node.name), Session())
    spec = node.spec
    if not isinstance(spec, LabelSpec):
        raise TypeError(f"expected the spec of labels, got {type(spec).__name__}")
    return spec.label, node, open_dataset(inputs)


def _find(planned: Planned, study: str, source: str) -> Node:
    nodes = {
        label.removeprefix(f"{study}/label/"): node for node in planned.plan.by_stage("label") for label in node.labels
    }
    if source not in nodes:
        known = f"; labelled: {', '.join(sorted(nodes))}" if nodes else ""
        raise ConfigError(f"study '{study}' labels no source '{source}'{did_you_mean(source, nodes)}{known}")
    return nodes[source]


def _read(data: DatasetInput, ordinals: list[int]) -> Iterator[tuple[int, Record]]:
    """Yield the dialogues at sorted ordinals, those near each other in one reading."""
    for near in _group(ordinals):
        wanted = set(near)
        yield from (one for one in data.numbered(near[0], near[-1] + 1) if one[0] in wanted)


def _group(ordinals: Iterable[int]) -> list[list[int]]:
    groups: list[list[int]] = []
    for ordinal in ordinals:
        if groups and ordinal - groups[-1][-1] <= _NEAR_RECORDS:
            groups[-1].append(ordinal)
        else:
            groups.append([ordinal])
    return groups
