"""200 random edits of finished studies: what a plan makes again, and what an oracle of its own says must be made."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutations import AXES, BY_NAME, FIELDS
from randomly import COUNTS, SEED, Bench, list_edits

import mixlab.plan.graph
from mixlab.artifacts.keys import build_key
from mixlab.plan.graph import Plan


@pytest.mark.parametrize("study", COUNTS)
def test_after_random_edits_nothing_is_falsely_remade_and_nothing_falsely_kept(study: str, tmp_path: Path) -> None:
    print(f"MIXLAB_MUTATION_SEED={SEED}")
    bench = Bench(tmp_path, study)
    edits = list(list_edits(study, COUNTS[study]))
    wrong = [(names, seed) for names, seed in edits if bench.compare(names, seed)]
    assert not wrong, "\n\n".join(bench.explain(*one) for one in wrong[:5])
    assert len(edits) == COUNTS[study]


def test_every_kind_of_edit_is_made_alone_and_with_others() -> None:
    drawn = [names for names, _ in list_edits("micro", COUNTS["micro"])]
    assert {names[0] for names in drawn if len(names) == 1} == set(BY_NAME)
    assert max(map(len, drawn)) == 3


def drop(pattern: str) -> Callable[..., str]:
    """Return a key that overlooks what a pattern matches in the JSON of a spec."""
    return lambda stage, spec, parents: build_key(stage, re.sub(pattern, "", spec), parents)


def overlook_parent(stage: str, spec: str, parents: Any) -> str:
    """A key that overlooks which mixture a model saw."""
    return build_key(stage, spec, {role: keys for role, keys in parents.items() if role != "mixture"})


MUTANTS = {
    "a chat template that decides nothing": drop(r'"chat":\{[^}]*\},?'),
    "a parent that decides nothing": overlook_parent,
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_plan_that_overlooks_something_is_found(mutant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixlab.plan.graph, "build_key", MUTANTS[mutant])
    assert "false reuse" in find_first(tmp_path, "false reuse")


NUMBER, LIST = r"[^,}\]]+", r"\[[^\]]*\]"
OVERLOOKED = {
    **{f"{axis} added": rf'"{"seed" if axis == "mixture_seed" else axis}":{NUMBER},?' for axis in AXES},
    **{f"{field} changed": rf'"{field.rpartition(".")[2]}":({LIST}|{NUMBER}),?' for field in FIELDS},
}
"""Kind of edit -> what a plan overlooks that this kind, and it alone, is there to find."""


@pytest.mark.parametrize("kind", OVERLOOKED)
def test_a_plan_that_overlooks_one_seed_or_field_is_found_by_the_edits_of_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = [one for one in list_edits("micro", COUNTS["micro"]) if kind in one[0]]
    assert len(edits) >= 2
    monkeypatch.setattr(mixlab.plan.graph, "build_key", drop(OVERLOOKED[kind]))
    bench = Bench(tmp_path, "micro")
    assert any("false reuse" in wrong for one in edits for wrong in bench.compare(*one))


def test_a_plan_in_which_names_decide_something_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Plan.add

    def add_by_label(self: Plan, spec: Any, parents: Any, label: str, *more: Any, **others: Any) -> Any:
        named = {**parents, "label": (label,)}
        monkeypatch.setattr(mixlab.plan.graph, "build_key", lambda stage, text, roles: build_key(stage, text, named))
        return add(self, spec, parents, label, *more, **others)

    monkeypatch.setattr(Plan, "add", add_by_label)
    assert "false rerun" in find_first(tmp_path, "false rerun")


def test_a_plan_in_which_the_machine_decides_something_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "config.yaml"

    def build_by_machine(stage: str, spec: str, parents: Any) -> str:
        return build_key(stage, spec + root.read_text(encoding="utf-8"), parents)

    monkeypatch.setattr(mixlab.plan.graph, "build_key", build_by_machine)
    assert "false rerun" in find_first(tmp_path, "false rerun")


def find_first(folder: Path, what: str) -> str:
    """What the suite says of the first random edit after which plan and oracle differ in this way.

    A plan that is wrong may refuse edits too, which ones is a matter of the seed.
    """
    bench = Bench(folder, "micro")
    wrong = (one for one in list_edits("micro", COUNTS["micro"]) if any(what in told for told in bench.compare(*one)))
    return next((told for one in wrong if what in (told := bench.explain(*one))), "nothing is wrong")
