"""What a run starts, and how long it takes on so many GPUs and cores."""

import pytest
from golden import plan_micro

from mixlab.artifacts.states import States
from mixlab.plan.demand import build_demand
from mixlab.plan.jobs import Pool, Task, list_jobs, schedule

NOTHING = States(frozenset(), frozenset(), frozenset())


def task(seconds: float, *above: int, pool: Pool = "cores", width: int = 1) -> Task:
    return Task(seconds, pool, width, frozenset(above))


def test_a_group_is_one_job_and_every_other_artifact_one_of_its_own() -> None:
    plan = plan_micro()
    run = build_demand(plan, NOTHING, [key for keys in plan.targets.values() for key in keys]).run
    jobs = list_jobs(plan, run)
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
    (job,) = list_jobs(plan, [report.key])
    assert (job.keys, job.above) == ([report.key], set())


def test_jobs_run_side_by_side_as_far_as_there_is_room() -> None:
    tasks = [task(3), task(3), task(3), task(1, 0, 1, 2)]
    assert schedule(tasks, {"gpus": 1, "cores": 3}).seconds == 4
    assert schedule(tasks, {"gpus": 1, "cores": 2}).seconds == 7
    assert schedule(tasks, {"gpus": 1, "cores": 1}).seconds == 10
    assert schedule(tasks, {"gpus": 1, "cores": 1}).chain_seconds == 4


def test_the_longest_chain_starts_first() -> None:
    """Three short jobs before the head of the chain would make it 3 + 10."""
    tasks = [task(1), task(1), task(1), task(5), task(5, 3)]
    assert schedule(tasks, {"gpus": 1, "cores": 2}).seconds == 10


def test_gpus_and_cores_are_apart_and_a_job_wider_than_its_pool_takes_all_of_it() -> None:
    tasks = [task(4, pool="gpus", width=8), task(4, pool="gpus", width=8), task(4)]
    assert schedule(tasks, {"gpus": 16, "cores": 1}).seconds == 4
    assert schedule(tasks, {"gpus": 8, "cores": 1}).seconds == 8
    assert schedule(tasks, {"gpus": 2, "cores": 1}).seconds == 8
    assert schedule([], {"gpus": 2, "cores": 1}).seconds == 0


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        schedule([task(1, 1), task(1, 0)], {"gpus": 1, "cores": 1})
