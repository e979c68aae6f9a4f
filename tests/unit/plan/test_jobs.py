"""What a run starts, and how long it takes on so many GPUs and cores."""

from collections.abc import Iterable

import pytest
from golden import plan_micro

from mixlab.artifacts.states import States
from mixlab.config.machine import MachineSettings
from mixlab.plan.bundles import Bundles
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Plan
from mixlab.plan.jobs import Task, list_jobs, schedule
from mixlab.plan.model_resources import ModelResources

NOTHING = States(frozenset(), frozenset(), frozenset())


def bundle(plan: Plan, run: Iterable[str]) -> Bundles:
    return Bundles(ModelResources(MachineSettings(), plan, {}), run)


def task(seconds: float | None, *above: int, gpus: int = 0, cores: int = 1) -> Task:
    return Task(seconds, gpus, cores, frozenset(above))


def test_a_group_is_one_job_and_every_other_artifact_one_of_its_own() -> None:
    plan = plan_micro()
    run = build_demand(plan, NOTHING, [key for keys in plan.targets.values() for key in keys]).run
    jobs = list_jobs(bundle(plan, run))
    assert sorted(key for job in jobs for key in job.keys) == sorted(run)
    counts = {stage: sum(job.stage == stage for job in jobs) for stage in ("sft", "generate", "judge", "scores")}
    # six models, each asked two benchmarks and rated twice by one process
    assert counts == {"sft": 4, "generate": 6, "judge": 6, "scores": 6}
    made = {key: number for number, job in enumerate(jobs) for key in job.keys}
    for number, job in enumerate(jobs):
        above = {made[one] for key in job.keys for one in plan.nodes[key].inputs()} - {number}
        assert job.above == above


def test_what_is_finished_starts_no_job_and_nobody_waits_for_it() -> None:
    plan = plan_micro()
    (report,) = plan.by_stage("report")
    (job,) = list_jobs(bundle(plan, [report.key]))
    assert (job.keys, job.above) == ([report.key], set())


def test_jobs_run_side_by_side_as_far_as_there_is_room() -> None:
    tasks = [task(3), task(3), task(3), task(1, 0, 1, 2)]
    assert schedule(tasks, 1, 3).seconds == 4
    assert schedule(tasks, 1, 2).seconds == 7
    assert schedule(tasks, 1, 1).seconds == 10
    assert schedule(tasks, 1, 1).chain_seconds == 4


def test_the_longest_chain_starts_first() -> None:
    """Three short jobs before the head of the chain would make it 3 + 10."""
    tasks = [task(1), task(1), task(1), task(5), task(5, 3)]
    assert schedule(tasks, 1, 2).seconds == 10


def test_of_jobs_that_several_ends_at_one_moment_make_ready_the_longest_chain_starts_first() -> None:
    """The job of 5 after the first end would take the place that the wide job after the second needs: 6 + 10 + 100."""
    wide = {"gpus": 2, "cores": 0}
    one = {"gpus": 1, "cores": 0}
    tasks = [task(1, **one), task(1, **one), task(10, 1, **wide), task(5, 0, **one), task(100, 2, **one)]
    assert schedule(tasks, 2, 1).seconds == 111
    # in whichever order they are listed
    swapped = [task(1, **one), task(1, **one), task(10, 0, **wide), task(5, 1, **one), task(100, 2, **one)]
    assert schedule(swapped, 2, 1).seconds == 111


def test_a_job_that_does_not_fit_holds_up_none_that_does() -> None:
    """Beside the first there is one core: the second waits for two, and the third takes it."""
    assert schedule([task(10), task(9, cores=2), task(8)], 1, 2).seconds == 19


def test_jobs_on_gpus_hold_cores_as_well() -> None:
    tasks = [task(4, gpus=8), task(4, gpus=8), task(4)]
    assert schedule(tasks, 16, 3).seconds == 4
    assert schedule(tasks, 16, 1).seconds == 12
    assert schedule(tasks, 8, 3).seconds == 8
    assert schedule([], 2, 1).seconds == 0


def test_a_job_wider_than_what_there_is_takes_longer_by_as_much_and_is_counted() -> None:
    made = schedule([task(4, gpus=8), task(4, gpus=8), task(6, cores=3)], 2, 2)
    assert (made.seconds, made.chain_seconds, made.too_wide) == (4 * 4 * 2 + 9, 16, 3)
    # few cores make what GPUs compute no longer
    assert schedule([task(4, gpus=1, cores=8)], 1, 2).seconds == 4


def test_jobs_of_unknown_length_are_counted() -> None:
    some, none = schedule([task(3), task(None, 0)], 1, 1), schedule([task(None)], 1, 1)
    assert (some.seconds, some.jobs, some.unknown, some.is_unknown) == (3, 2, 1, False)
    assert none.is_unknown
    assert not schedule([], 1, 1).is_unknown


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        schedule([task(1, 1), task(1, 0)], 1, 1)
