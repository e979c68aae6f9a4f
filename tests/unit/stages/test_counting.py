"""What benchmarks ask, counted before anything runs."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from checkouts import REPOSITORY

from mixlab.artifacts.store import Store
from mixlab.config.sources import SourceSettings
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.graph import Node
from mixlab.plan.specs import SourceSpec
from mixlab.stages.counting import Counter, open_counter


@pytest.fixture(scope="module")
def planned() -> Planned:
    return build_plan(REPOSITORY, ["micro"], check_files=False)


@pytest.fixture
def counter(planned: Planned, tmp_path: Path) -> Any:
    with open_counter(planned, Store(tmp_path), frozenset()) as one:
        yield one
    # nothing is written where there is no store of verdicts
    assert list(tmp_path.iterdir()) == []


def the(planned: Planned, stage: str, benchmark: str) -> Node:
    return next(node for node in planned.plan.by_stage(stage) if f"/{benchmark}/" in node.label)


def with_prompt(node: Node, **changes: Any) -> Node:
    spec: Any = node.spec
    return dataclasses.replace(node, spec=spec.model_copy(update={"prompt": spec.prompt.model_copy(update=changes)}))


def test_items_turns_and_the_longest_responses_are_counted(planned: Planned, counter: Counter) -> None:
    maths = counter.count_asked(the(planned, "generate", "demo_math_en"))
    dialogue = counter.count_asked(the(planned, "generate", "demo_dialogue_en"))
    assert maths is not None and dialogue is not None
    assert (maths.items, maths.prompts, maths.new_tokens) == (8, 8, 8 * 16)
    assert (dialogue.items, dialogue.prompts, dialogue.new_tokens) == (4, 8, 8 * 40)
    # the second turn reads the first one and its answer too
    assert dialogue.prompt_tokens > 4 * 40


def test_a_limit_and_several_samples_are_heeded(planned: Planned, counter: Counter) -> None:
    node = the(planned, "generate", "demo_math_en")
    asked = counter.count_asked(with_prompt(node, limit=3, samples=5))
    assert asked is not None
    assert (asked.items, asked.prompts, asked.new_tokens) == (3, 15, 15 * 16)


def test_verdicts_of_a_rule_are_counted_turn_by_turn(planned: Planned, counter: Counter) -> None:
    assert counter.count_verdicts(the(planned, "judge", "demo_dialogue_en")) == 8


def test_what_is_not_on_this_machine_is_not_known(planned: Planned, counter: Counter) -> None:
    node = the(planned, "generate", "demo_math_en")
    (key,) = node.parents["items"]
    source: Any = planned.plan.nodes[key]
    fields = {"item": {"question": "{q}"}}
    origin = {"type": "files", "digests": ["a" * 64], "format": "jsonl", "fields": fields}
    settings = SourceSettings.model_validate({"kind": "benchmark", "origin": origin})
    plan = dataclasses.replace(planned.plan, nodes={**planned.plan.nodes})
    plan.nodes[key] = dataclasses.replace(source, spec=SourceSpec(source=settings))
    unknown = Counter(dataclasses.replace(planned, plan=plan), counter.store, frozenset(), counter.verdicts)
    assert unknown.count_asked(node) is None
    assert unknown.count_verdicts(the(planned, "judge", "demo_dialogue_en")) == 8
