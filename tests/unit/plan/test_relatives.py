"""The finished artifact most like a new one: the search against one that leaves nothing out."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mixlab.config.editing import parse_edit
from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.compare import ORDERED_BY_KEY, find_plain_changes
from mixlab.plan.graph import Plan
from mixlab.plan.relatives import Card, Library

REPOSITORY = Path(__file__).resolve().parents[3]
UNLIKE = 10
"""What an artifact without a counterpart counts."""


def plan_demo(*edits: str) -> Plan:
    return build_plan(REPOSITORY, ["demo"], check_files=False, edits=[parse_edit(one) for one in edits]).plan


def list_cards(plan: Plan, state: str) -> Iterator[Card]:
    specs = {id(node.spec): to_plain(node.spec) for node in plan.nodes.values()}
    for node in plan.nodes.values():
        yield Card(node.stage, node.key, node.label, state, specs[id(node.spec)], node.parents)


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
