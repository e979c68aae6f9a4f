"""What a model's card says of how the model was made: what records tell, and nothing of one that cannot be read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from checkouts import REPOSITORY

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node
from mixlab.plan.stages import STAGES
from mixlab.report.model_card import CardFacts
from mixlab.stages.model_exports import gather_card
from mixlab.stages.pages import Shelf, hold

GOOD = {"commit": "c" * 40, "seconds": 3, "finished": "2026-11-22T10:00:00+00:00", "digest": "ab" * 32}
BROKEN = {"cut.json": '{"commit": "d', "list.json": "[]", "letters.json": "\udcff"}


@pytest.fixture(scope="module")
def planned():
    return build_plan(REPOSITORY, ["micro"], check_files=False)


@pytest.fixture
def shelf(planned, tmp_path: Path) -> Shelf:
    """The micro study's plan beside a working folder in which nothing is but records."""
    store = Store(tmp_path)
    return Shelf(store, read_states(store, STAGES), planned.plan, "micro", {})


@pytest.fixture
def model(planned) -> Node:
    return next(node for node in planned.plan.nodes.values() if node.stage == "sft")


def note(shelf: Shelf, node: Node, files: dict[str, str]) -> None:
    folder = shelf.store.root / "provenance" / node.stage / node.key
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode("utf-8", errors="surrogateescape"))


def gather(planned, shelf: Shelf, node: Node) -> CardFacts:
    return gather_card(shelf, planned.studies["micro"], node, "", "unknown")


def test_a_record_that_cannot_be_read_is_no_making_of_the_model(planned, shelf: Shelf, model: Node) -> None:
    note(shelf, model, {**BROKEN, "good.json": json.dumps(GOOD)})
    held = hold(shelf, model)
    assert held.made == ("2026-11-22T10:00:00+00:00, 3 s, commit cccccccccccc",)
    assert held.digest == "ab" * 32
    card = gather(planned, shelf, model)
    assert card.commit == "c" * 40
    assert (card.steps[-1].key, card.steps[-1].made) == (model.key, held.made[0])


def test_a_model_of_which_no_record_can_be_read_was_made_nobody_knows_when(planned, shelf: Shelf, model: Node) -> None:
    note(shelf, model, BROKEN)
    card = gather(planned, shelf, model)
    assert (card.commit, card.steps[-1].made, card.steps[-1].digest) == ("", "", "")
    assert card.unscored.startswith("Its scores are not here: scores ")


def test_a_model_is_named_without_the_folders_of_its_study(shelf: Shelf, model: Node) -> None:
    name = shelf.name_point(model)
    assert name.startswith("even/mixture_seed 1/") and not name.endswith("/sft")
    below = replace(model, labels=[f"papers/tiny/{label}" for label in model.labels])
    plan = replace(shelf.plan, targets={"papers/tiny/micro": []})
    assert replace(shelf, study="papers/tiny/micro", plan=plan).name_point(below) == name
