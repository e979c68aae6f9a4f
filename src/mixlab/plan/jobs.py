"""What a run would start: processes, of which a group of artifacts is one, and how long they take together."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

Pool = Literal["gpus", "cores"]


@dataclass
class Job:
    """One process: the artifacts it makes, in order, and the numbers of the jobs that must be over before it."""

    stage: str
    keys: list[str]
    above: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Task:
    """A job as a scheduler sees it: how long, of what it takes how many, and what must be over before."""

    seconds: float
    pool: Pool
    width: int
    above: frozenset[int]


@dataclass(frozen=True)
class Schedule:
    """Seconds from the first job's start to the last one's end, and those of the longest chain of jobs."""

    seconds: float
    chain_seconds: float


def list_jobs(plan: Plan, run: Iterable[str]) -> list[Job]:
    """Collapse artifacts that are to be made to jobs: a grouped stage has one for each of its groups."""
    jobs: list[Job] = []
    numbers: dict[tuple[str, str], int] = {}
    by_key: dict[str, int] = {}
    wanted = list(run)
    for key in wanted:
        node = plan.nodes[key]
        place = (node.stage, node.group if STAGES[node.stage].grouped else key)
        if place not in numbers:
            numbers[place] = len(jobs)
            jobs.append(Job(node.stage, []))
        by_key[key] = numbers[place]
        jobs[numbers[place]].keys.append(key)
    for key in wanted:
        number = by_key[key]
        jobs[number].above.update(by_key[one] for one in plan.nodes[key].inputs() if one in by_key)
    for number, job in enumerate(jobs):
        job.above.discard(number)
    return jobs


def schedule(tasks: Sequence[Task], capacity: Mapping[Pool, int]) -> Schedule:
    """Schedule jobs by list: whenever something is free, the ready job with the longest chain below it starts.

    Priority by the longest chain is Hu's (1961, Operations Research 9:841); no schedule by list takes longer than
    twice the shortest one where each job takes one place of one pool (Graham 1969, SIAM J. Appl. Math. 17:416).
    A job wider than its pool takes all of it. Raises ValueError where jobs wait for each other in a circle.
    """
    below: list[list[int]] = [[] for _ in tasks]
    waits = [len(task.above) for task in tasks]
    for number, task in enumerate(tasks):
        for one in task.above:
            below[one].append(number)
    chains = _measure_chains(tasks, below)
    ready: dict[Pool, list[tuple[float, int]]] = {"gpus": [], "cores": []}
    free = dict(capacity)
    running: list[tuple[float, int]] = []
    now = 0.0
    for number, count in enumerate(waits):
        if not count:
            heapq.heappush(ready[tasks[number].pool], (-chains[number], number))
    while running or any(ready.values()):
        for pool, queue in ready.items():
            while queue and (width := min(tasks[queue[0][1]].width, capacity[pool])) <= free[pool]:
                _, number = heapq.heappop(queue)
                free[pool] -= width
                heapq.heappush(running, (now + tasks[number].seconds, number))
        now, over = heapq.heappop(running)
        task = tasks[over]
        free[task.pool] += min(task.width, capacity[task.pool])
        for one in below[over]:
            waits[one] -= 1
            if not waits[one]:
                heapq.heappush(ready[tasks[one].pool], (-chains[one], one))
    return Schedule(now, max(chains, default=0.0))


def _measure_chains(tasks: Sequence[Task], below: Sequence[Sequence[int]]) -> list[float]:
    """Seconds of the longest chain that begins with each job, its own among them."""
    chains = [0.0] * len(tasks)
    waits = [len(one) for one in below]
    last = [number for number, count in enumerate(waits) if not count]
    seen = 0
    while last:
        number = last.pop()
        seen += 1
        chains[number] = tasks[number].seconds + max((chains[one] for one in below[number]), default=0.0)
        for one in tasks[number].above:
            waits[one] -= 1
            if not waits[one]:
                last.append(one)
    if seen < len(tasks):
        raise ValueError("jobs wait for each other in a circle")
    return chains
