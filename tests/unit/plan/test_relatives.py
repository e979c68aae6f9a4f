"""The finished artifact most like a new one: the search against one that leaves nothing out."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mixlab.config.editing import parse_edit
from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.compare import ORDERED_BY_KEY, find_plain_changes
from mixlab.plan.graph import Plan, drop_study
from mixlab.plan.relatives import Card, Library

REPOSITORY = Path(__file__).resolve().parents[3]
UNLIKE = 10
"""What an artifact without a counterpart counts."""


def plan_demo(*edits: str) -> Plan:
    return build_plan(REPOSITORY, ["demo"], check_files=False, edits=[parse_edit(one) for one in edits]).plan


def plan_micro(*edits: str, study: str = "micro") -> Plan:
    plan = build_plan(REPOSITORY, ["micro"], check_files=False, edits=[parse_edit(one) for one in edits]).plan
    for node in plan.nodes.values():
        node.labels[:] = [label.replace("micro/", f"{study}/", 1) for label in node.labels]
    return plan


def list_cards(plan: Plan, state: str) -> Iterator[Card]:
    studies = {label.rpartition("/source/")[0] for node in plan.by_stage("source") for label in node.labels}
    specs = {id(node.spec): to_plain(node.spec) for node in plan.nodes.values()}
    for node in plan.nodes.values():
        yield Card(
            node.stage, node.key, node.label, state, specs[id(node.spec)], node.parents, drop_study(node.label, studies)
        )


def test_the_nearest_of_a_new_variants_artifacts_is_the_nearest_of_all() -> None:
    old, new = plan_demo(), plan_demo("variants.x y={instruction: 3/4}")
    library = Library()
    library.add(list_cards(old, "complete"))
    library.add(list_cards(new, "absent"))

    @cache
    def count(key: str, other: str) -> int:
        one, two = library.cards.get(key), library.cards.get(other)
        if one is None or two is None or one.stage != two.stage:
            return UNLIKE
        above = sum(count(pair.key, pair.relative) for pair in library.pair_parents(one, two))
        if one.stage in ORDERED_BY_KEY or one.spec is two.spec:
            return above
        return above + len(list(find_plain_changes(two.spec, one.spec)))

    variants: set[str] = set()
    checked: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    added = [key for key in new.nodes if key not in old.nodes]
    for card in (library.cards[key] for key in added[::12]):
        among = [one for one in library.cards.values() if one.stage == card.stage and one.state == "complete"]
        nearest = library.find_nearest(card, among)
        assert nearest is not None
        checked[card.stage] += 1
        if card.label.startswith("demo/x y/"):
            variants.add(nearest.label.split("/")[1])
        wrong[card.stage] += count(card.key, nearest.key) != min(count(card.key, one.key) for one in among)
    assert {"generate", "score", "judge"} <= set(checked)
    assert wrong.total() == 0, wrong
    # three variants differ by their instruction ratio alone: it is the same one at every stage
    assert len(variants) == 1


@pytest.mark.parametrize("name", ["m3", "papers/m3"])
def test_a_study_of_other_seeds_is_compared_variant_by_variant(name: str) -> None:
    """Keys stand in any order: what has no namesake is beside the same with another seed, and its chain goes on."""
    old, new = plan_micro(), plan_micro("seeds.sft_seed=[7, 8, 9]", study=name)
    library = Library()
    library.add(list_cards(old, "complete"))
    library.add(list_cards(new, "absent"))
    for stage in ("aggregate", "report"):
        ((mine,), (its,)) = (plan.by_stage(stage) for plan in (new, old))
        steps = library.explain(library.cards[mine.key], library.cards[its.key])
        told = [step for step in steps if step.relative is not None]
        pairs = [(step.card.short, step.relative.short) for step in steps if step.relative is not None]
        assert all(one.split("/")[0] == two.split("/")[0] for one, two in pairs), pairs
        # the chain goes on to where it began
        assert {step.card.stage for step in told if step.changes} - {stage} == {"sft", "scores"}
        # a third seed has no counterpart
        assert {step.card.stage for step in steps if step.relative is None} == {"scores"}


def test_parents_without_namesakes_are_paired_by_likeness() -> None:
    """Two variants that were renamed and stand in the other order."""
    old, new = plan_micro(), plan_micro("seeds.sft_seed=[7, 8]")
    for node in new.nodes.values():
        names = {"even": "a", "math heavy 数学": "z"}
        node.labels[:] = ["/".join(names.get(part, part) for part in label.split("/")) for label in node.labels]
    library = Library()
    library.add(list_cards(new, "absent"))
    library.add(list_cards(old, "complete"))
    ((mine,), (its,)) = (plan.by_stage("aggregate") for plan in (new, old))
    pairs = list(library.pair_parents(library.cards[mine.key], library.cards[its.key]))
    scores = [pair for pair in pairs if library.cards[pair.key].stage == "scores"]
    assert len(scores) == 4
    names = {"a": "even", "z": "math heavy 数学"}
    for pair in scores:
        one, two = (library.cards[key].label.split("/")[1] for key in (pair.key, pair.relative))
        assert names[one] == two


def test_of_equals_the_namesake_in_another_study_is_the_nearest_in_folders_too() -> None:
    studies = ["papers", "papers/one", "papers/two"]

    def card(key: str, label: str, seed: int) -> Card:
        return Card("ipt", key, label, "complete", {"ipt_seed": seed}, {}, drop_study(label, studies))

    wanted = card("c", "papers/two/even/ipt", 2)
    others = [card("a", "papers/one/odd/ipt", 1), card("b", "papers/one/even/ipt", 1), card("d", "papers/even/ipt", 1)]
    assert [one.short for one in others] == ["odd/ipt", "even/ipt", "even/ipt"]
    library = Library()
    library.add([wanted, *others])
    nearest = library.find_nearest(wanted, others)
    assert nearest is not None
    assert nearest.key == "b"


@pytest.mark.parametrize(
    ("edit", "stage", "cause", "role"),
    [
        ("seeds.sft_seed=[1]", "report", "aggregate", "scores"),
        ("tokenizers.bpe.sources=[raw_file]", "ipt", "tokenizer", "sources"),
        ("tokenizers.bpe.sources=[raw_file, raw_ja, math_file]", "ipt", "tokenizer", "sources"),
        ("filters[0].against=[raw_ja]", "ipt", "filter", "against"),
        ("sources.math_file.filters=[]", "sft", "tokenize", "source"),
    ],
)
def test_a_chain_ends_where_a_parent_was_taken_away_or_a_finished_one_came(
    edit: str, stage: str, cause: str, role: str
) -> None:
    old, new = plan_micro(), plan_micro(edit)
    library = Library()
    library.add(list_cards(old, "complete"))
    library.add(list_cards(new, "absent"))
    mine, its = (next(node for node in plan.by_stage(stage) if "sft_seed 2" not in node.label) for plan in (new, old))
    steps = library.explain(library.cards[mine.key], library.cards[its.key])
    # what is finished is not new
    assert all(step.relative is not None for step in steps)
    ends = {
        change.path
        for step in steps
        if step.card.stage == cause
        for change in step.parents
        if sorted(change.old) != sorted(change.new)
    }
    assert role in ends
    told = [change for step in steps for change in step.parents]
    assert all(change.old == change.new for change in told if sorted(change.old) == sorted(change.new)), told
