"""Keys stay what they are: pinned, and the same when a field is added whose absence meant what was."""

from collections.abc import Callable
from typing import Any

import pytest
from golden import REFRESH, find_drift, list_keys, plan_every_stage, read_golden
from pydantic import BaseModel, create_model

from mixlab.artifacts.keys import build_key
from mixlab.config.base import added
from mixlab.plan.canonical import render_spec
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_every_stage()


def test_the_keys_of_the_micro_study_are_the_pinned_ones(plan: Plan) -> None:
    drift = find_drift(read_golden(), list_keys(plan))
    assert not drift, (
        "this recomputes GPU work: finished artifacts are not found under their new keys.\n"
        + "\n".join(drift)
        + f"\nIf that is meant (a raised version, a decision in docs/decisions), run `{REFRESH}` "
        "and say in the commit which stages re-key. A field added to a spec re-keys nothing when it is declared with "
        "`added(...)`."
    )


def test_the_micro_study_has_an_artifact_of_every_stage(plan: Plan) -> None:
    assert set(list_keys(plan)) == set(STAGES)


def extend(value: Any, later: int, seen: set[type[BaseModel]]) -> Any:
    """Rebuild settings as they would be had every model of them got a field `added_later` that is absent when 0."""
    if isinstance(value, BaseModel):
        kind = type(value)
        seen.add(kind)
        extended = create_model(f"{kind.__name__}Later", __base__=kind, added_later=(int, added(0, ge=0)))
        fields = {name: extend(getattr(value, name), later, seen) for name in kind.model_fields}
        return extended.model_construct(**fields, added_later=later)
    if isinstance(value, dict):
        return {name: extend(item, later, seen) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(extend(item, later, seen) for item in value)
    return value


def rebuild(plan: Plan, change: Callable[[BaseModel], BaseModel]) -> dict[str, str]:
    """Old key -> the key that a node would have with another spec and its parents' other keys."""
    renamed: dict[str, str] = {}
    rendered: dict[int, str] = {}
    for node in plan.nodes.values():
        if id(node.spec) not in rendered:
            rendered[id(node.spec)] = render_spec(change(node.spec))
        parents = {
            role: [":".join((renamed[one.partition(":")[0]], *one.split(":")[1:])) for one in references]
            for role, references in node.parents.items()
        }
        renamed[node.key] = build_key(node.stage, rendered[id(node.spec)], parents)
    return renamed


def test_a_field_added_to_every_spec_and_every_settings_model_in_it_changes_no_key(plan: Plan) -> None:
    seen: set[type[BaseModel]] = set()
    renamed = rebuild(plan, lambda spec: extend(spec, 0, seen))
    assert [old for old, new in renamed.items() if old != new] == []
    assert {stage.spec for stage in STAGES.values()} <= seen
    assert len(seen) > 2 * len(STAGES)


def test_an_added_field_that_differs_from_what_its_absence_meant_changes_every_key(plan: Plan) -> None:
    renamed = rebuild(plan, lambda spec: extend(spec, 1, set()))
    assert [old for old, new in renamed.items() if old == new] == []


def test_a_field_added_without_saying_what_its_absence_meant_changes_every_key(plan: Plan) -> None:
    """Why `added` exists: a plain default is part of the canonical JSON."""

    def change(spec: BaseModel) -> BaseModel:
        later = create_model("Later", __base__=type(spec), added_later=(int, 0))
        return later.model_construct(**{name: getattr(spec, name) for name in type(spec).model_fields})

    renamed = rebuild(plan, change)
    assert [old for old, new in renamed.items() if old == new] == []


def test_a_raised_version_changes_the_key_of_its_stage_and_of_all_below_and_no_other(plan: Plan) -> None:
    ipt = {node.key for node in plan.by_stage("ipt")}
    renamed = rebuild(
        plan, lambda spec: spec.model_copy(update={"version": 2}) if isinstance(spec, STAGES["ipt"].spec) else spec
    )
    below = {key for key in plan.nodes if ipt & plan.closure([key])}
    # reads enter no key, and nothing here is read without being a parent's parent
    assert {old for old, new in renamed.items() if old != new} == below
