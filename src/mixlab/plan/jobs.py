"""What a run would start: processes, of which a group of artifacts is one, and how long they take together."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from mixlab.plan.bundles import Bundles


@dataclass
class Job:
    """One process: the artifacts it makes, in order, and the numbers of the jobs that must be over before it."""

    stage: str
    keys: list[str]
    above: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Task:
    """A job as a scheduler sees it: how long (None: not known), what it holds, and what must be over before."""

    seconds: float | None
    gpus: int
    cores: int
    above: frozenset[int]

    def fit(self, gpus: int, cores: int) -> "Task":
        """Return the task as it is with so much at most: one that computes on fewer places takes longer by as much.

        Cores of a job on GPUs only feed these, so that fewer of them make it no longer.
        """
        wide = self.gpus / gpus if self.gpus else self.cores / cores
        longer = None if self.seconds is None else self.seconds * max(1.0, wide)
        return Task(longer, min(self.gpus, gpus), min(self.cores, cores), self.above)


@dataclass(frozen=True)
class Schedule:
    """Seconds from the first job's start to the last one's end, and those of the longest chain of jobs.

    Jobs of unknown length take no time in either, so that both are at least these where `unknown` of the `jobs` are
    such. `too_wide` jobs ask for more than there is, and are taken to be longer by as much.
    """

    seconds: float
    chain_seconds: float
    jobs: int = 0
    unknown: int = 0
    too_wide: int = 0

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of how long it takes."""
        return bool(self.jobs) and self.unknown == self.jobs


def list_jobs(bundles: Bundles) -> list[Job]:
    """List the processes of a run, with what each waits for."""
    jobs = [Job(nodes[0].stage, [node.key for node in nodes]) for nodes in bundles.jobs]
    by_key = {key: number for number, job in enumerate(jobs) for key in job.keys}
    for number, (job, nodes) in enumerate(zip(jobs, bundles.jobs, strict=True)):
        job.above = {by_key[one] for node in nodes for one in node.inputs() if one in by_key} - {number}
    return jobs


def schedule(asked: Sequence[Task], gpus: int, cores: int) -> Schedule:
    """Schedule jobs by list: whenever something is free, of the ready jobs that fit the one with the longest chain
    below it starts.

    Priority by the longest chain is Hu's (1961, Operations Research 9:841); no schedule by list takes longer than
    twice the shortest one where each job takes one place of one kind (Graham 1969, SIAM J. Appl. Math. 17:416).
    Raises ValueError where jobs wait for each other in a circle.
    """
    tasks = [task.fit(gpus, cores) for task in asked]
    below: list[list[int]] = [[] for _ in tasks]
    waits = [len(task.above) for task in tasks]
    for number, task in enumerate(tasks):
        for one in task.above:
            below[one].append(number)
    chains = _measure_chains(tasks, below)
    queues = _Queues(tasks, chains)
    running: list[tuple[float, int]] = []
    now = 0.0
    for number, count in enumerate(waits):
        if not count:
            queues.push(number)
    while True:
        while (first := queues.pop(gpus, cores)) is not None:
            gpus, cores = gpus - tasks[first].gpus, cores - tasks[first].cores
            heapq.heappush(running, (now + (tasks[first].seconds or 0.0), first))
        if not running:
            break
        now = running[0][0]
        # all that ends at one moment is over before anything starts: else a short chain takes the place of a long one
        while running and running[0][0] == now:
            _, over = heapq.heappop(running)
            gpus, cores = gpus + tasks[over].gpus, cores + tasks[over].cores
            for one in below[over]:
                waits[one] -= 1
                if not waits[one]:
                    queues.push(one)
    return Schedule(
        now,
        max(chains, default=0.0),
        len(tasks),
        sum(task.seconds is None for task in tasks),
        sum((one.gpus, one.cores) != (task.gpus, task.cores) for one, task in zip(asked, tasks, strict=True)),
    )


@dataclass(frozen=True)
class _Queues:
    """Jobs that could start, by what they hold: there are few such shapes, and of each the first is looked at."""

    tasks: Sequence[Task]
    chains: Sequence[float]
    _ready: dict[tuple[int, int], list[tuple[float, int]]] = field(default_factory=dict)

    def push(self, number: int) -> None:
        """Let a job wait for places."""
        task = self.tasks[number]
        heapq.heappush(self._ready.setdefault((task.gpus, task.cores), []), (-self.chains[number], number))

    def pop(self, gpus: int, cores: int) -> int | None:
        """Take the job with the longest chain out of those that fit in what is free; None where none does."""
        fitting = [
            (queue[0], queue)
            for (width, threads), queue in self._ready.items()
            if queue and width <= gpus and threads <= cores
        ]
        return heapq.heappop(min(fitting)[1])[1] if fitting else None


def _measure_chains(tasks: Sequence[Task], below: Sequence[Sequence[int]]) -> list[float]:
    """Seconds of the longest chain that begins with each job, its own among them."""
    chains = [0.0] * len(tasks)
    waits = [len(one) for one in below]
    last = [number for number, count in enumerate(waits) if not count]
    seen = 0
    while last:
        number = last.pop()
        seen += 1
        chains[number] = (tasks[number].seconds or 0.0) + max((chains[one] for one in below[number]), default=0.0)
        for one in tasks[number].above:
            waits[one] -= 1
            if not waits[one]:
                last.append(one)
    if seen < len(tasks):
        raise ValueError("jobs wait for each other in a circle")
    return chains
