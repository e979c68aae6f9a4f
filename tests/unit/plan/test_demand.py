"""Demand: a parent is wanted only while a descendant is unfinished."""

from collections.abc import Iterable

import pytest
from golden import plan_micro

from mixlab.artifacts.states import Name, States
from mixlab.plan.demand import Demand, build_demand
from mixlab.plan.graph import Plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_micro()


def names(plan: Plan, *stages: str) -> frozenset[Name]:
    return frozenset(node.name for node in plan.nodes.values() if not stages or node.stage in stages)


def demand(
    plan: Plan,
    complete: Iterable[Name] = (),
    tracked: Iterable[Name] = (),
    discarded: Iterable[Name] = (),
) -> Demand:
    states = States(frozenset(complete), frozenset(tracked), frozenset(discarded))
    return build_demand(plan, states, [key for keys in plan.targets.values() for key in keys])


def stages(plan: Plan, keys: Iterable[str]) -> set[str]:
    return {plan.nodes[key].stage for key in keys}


def test_with_nothing_here_everything_runs_parents_first(plan: Plan) -> None:
    wanted = demand(plan)
    assert wanted.run == tuple(plan.nodes)
    assert wanted.fetch == ()
    place = {key: at for at, key in enumerate(wanted.run)}
    assert all(place[parent] < place[key] for key in wanted.run for parent in plan.nodes[key].inputs())


@pytest.mark.parametrize("state", ["complete", "tracked", "discarded"])
def test_a_report_that_is_finished_wants_nothing_above_it(plan: Plan, state: str) -> None:
    wanted = demand(plan, **{state: names(plan, "report")})
    assert wanted.run == ()
    assert stages(plan, wanted.fetch) == ({"report"} if state == "tracked" else set())
    assert wanted.is_empty == (state != "tracked")


def test_deleted_in_the_middle_wants_nothing_while_nothing_below_is_unfinished(plan: Plan) -> None:
    assert demand(plan, names(plan) - names(plan, "average", "ipt", "mixture")).is_empty


def test_deleted_in_the_middle_is_wanted_by_an_unfinished_descendant_and_stops_at_what_is_here(plan: Plan) -> None:
    wanted = demand(plan, names(plan) - names(plan, "average", "generate", "score", "scores", "aggregate", "report"))
    assert stages(plan, wanted.run) == {"average", "generate", "score", "scores", "aggregate", "report"}


def test_a_discarded_run_is_made_again_only_for_an_average_that_is_unfinished(plan: Plan) -> None:
    dropped = names(plan, "ipt")
    here = names(plan) - dropped
    assert demand(plan, here, discarded=dropped).is_empty
    one = next(node for node in plan.by_stage("average"))
    below = names(plan, "report", "aggregate", "scores", "sft", "generate", "judge", "score")
    wanted = demand(plan, here - below - {one.name}, discarded=dropped)
    assert [key for key in wanted.run if plan.nodes[key].stage == "ipt"] == [one.parents["snapshots"][0].split(":")[0]]


def test_tracked_and_absent_is_fetched_when_read_and_left_alone_when_not(plan: Plan) -> None:
    wanted = demand(plan, tracked=names(plan) - names(plan, "report", "aggregate"))
    assert stages(plan, wanted.run) == {"report", "aggregate"}
    assert stages(plan, wanted.fetch) == {"scores", "mixture", "contamination", "label", "filter", "counts", "source"}


def test_what_is_here_is_not_fetched_though_it_is_tracked(plan: Plan) -> None:
    everything = names(plan) - names(plan, "report")
    wanted = demand(plan, everything, tracked=everything)
    assert (stages(plan, wanted.run), wanted.fetch) == ({"report"}, ())


def test_reads_are_wanted_like_parents(plan: Plan) -> None:
    unfinished = names(plan, "ipt", "average", "sft", "generate", "judge", "score", "scores", "aggregate", "report")
    missing = names(plan, "tokenize")
    wanted = demand(plan, names(plan) - unfinished - missing)
    assert stages(plan, wanted.run) >= {"tokenize", "ipt"}
    # tokenizer and sources are here, so the walk ends at them
    assert not stages(plan, wanted.run) & {"source", "tokenizer", "pack", "mixture", "pretrain"}
