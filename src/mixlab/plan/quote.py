"""What a run would do and take, stage by stage: artifacts, processes, time, bytes; and how long all of it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from mixlab.artifacts.pointers import read_pointer
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.config.pricing import GpuSettings
from mixlab.plan.amounts import Amounts
from mixlab.plan.bundles import Bundles
from mixlab.plan.demand import Demand
from mixlab.plan.engines import count_gpus
from mixlab.plan.graph import Node, Plan
from mixlab.plan.jobs import Job, Schedule, Task, list_jobs, schedule
from mixlab.plan.model_bytes import count_model_bytes
from mixlab.plan.model_resources import ModelResources
from mixlab.plan.past import History
from mixlab.plan.price import PRICED, TrainingRun
from mixlab.plan.stages import STAGES


@dataclass
class StageQuote:
    """One stage: what is planned, kept, fetched and made, and what making it takes as far as that is known.

    `seconds` are those of its processes together; `seconds_unknown` counts processes that are not in it,
    `bytes_unknown` artifacts that are not in `bytes`, `gpu_hours_unknown` processes on GPUs that are not in
    `gpu_hours`.
    """

    stage: str
    planned: int = 0
    kept: int = 0
    fetched: int = 0
    artifacts: int = 0
    jobs: int = 0
    seconds: float = 0.0
    seconds_unknown: int = 0
    gpu_hours: float = 0.0
    gpu_hours_unknown: int = 0
    bytes: int = 0
    bytes_unknown: int = 0
    fetched_bytes: int = 0


@dataclass(frozen=True)
class Timed:
    """A job and how long it takes; None where that is not known."""

    job: Job
    seconds: float | None
    gpus: int
    cores: int
    by_formula: bool = False


@dataclass
class Quoter:
    """Quotes what a demand asks for.

    `mfu_of` maps base model and stage to the share of the peak. Training is timed by formula where nothing alike was
    measured and the machine's settings give it GPUs; with `on_gpus` also where they give none, as somebody asks what it
    would take on some; `by_formula`: though runs were measured, as somebody asks about another device. `failed`: keys
    whose last try ended by an error, which run in processes of their own.
    """

    store: Store
    plan: Plan
    states: States
    demand: Demand
    runs: Mapping[str, TrainingRun]
    mfu_of: Mapping[tuple[str, str], float]
    amounts: Amounts
    history: History
    resources: ModelResources
    gpu: GpuSettings
    by_formula: bool = False
    on_gpus: bool = False
    failed: frozenset[str] = frozenset()
    _bytes: dict[str, int | None] = field(default_factory=dict)

    @cached_property
    def jobs(self) -> list[Timed]:
        """The processes that would be started, in order of planning."""
        return [self._time(job) for job in list_jobs(Bundles(self.resources, self.demand.run, self.failed))]

    def quote_stages(self) -> list[StageQuote]:
        """Quote each stage that the plan has artifacts of."""
        lines = {name: StageQuote(name) for name in STAGES}
        running, fetched = frozenset(self.demand.run), frozenset(self.demand.fetch)
        for node in self.plan.nodes.values():
            line = lines[node.stage]
            line.planned += 1
            if node.key in running:
                line.artifacts += 1
                size = self.count_bytes(node)
                line.bytes += size or 0
                line.bytes_unknown += size is None
            elif node.key in fetched:
                line.fetched += 1
                line.fetched_bytes += read_pointer(self.store, node.name).bytes
            elif self.states.is_finished(node.name):
                line.kept += 1
        for timed in self.jobs:
            line = lines[timed.job.stage]
            line.jobs += 1
            line.seconds += timed.seconds or 0.0
            line.seconds_unknown += timed.seconds is None
            hours = self._count_gpu_hours(timed)
            line.gpu_hours += hours or 0.0
            line.gpu_hours_unknown += hours is None
        return [line for line in lines.values() if line.planned]

    def schedule(self, gpus: int | None, cores: int) -> Schedule:
        """Schedule all jobs on so many GPUs and CPU cores.

        Without a number of GPUs there are as many as one job takes.
        """
        tasks = [Task(one.seconds, one.gpus, one.cores, frozenset(one.job.above)) for one in self.jobs]
        return schedule(tasks, gpus or max([1, *(task.gpus for task in tasks)]), cores)

    def list_elsewhere(self) -> list[str]:
        """Name what stages of these jobs were measured on that these do not compute on."""
        places = {(one.job.stage, one.gpus) for one in self.jobs}
        return sorted({name for stage, gpus in places for name in self.history.list_other(stage, gpus)})

    def count_bytes(self, node: Node) -> int | None:
        """Say how large an artifact becomes: its weights by formula, anything else by what is most like it."""
        if node.key not in self._bytes:
            size = count_model_bytes(self.amounts.workloads, node)
            if size is None:
                alike = self.history.estimate_bytes(node.stage, self.amounts.measure(node))
                size = None if alike is None else round(alike)
            self._bytes[node.key] = size
        return self._bytes[node.key]

    def _time(self, job: Job) -> Timed:
        nodes = [self.plan.nodes[key] for key in job.keys]
        if job.stage in PRICED:
            return self._time_trainings(job, nodes)
        resources = self.resources.find(nodes[0])
        gpus = count_gpus(nodes[0].spec, resources)
        told = [
            self.history.estimate_seconds(job.stage, self.amounts.measure(node), is_first=not number, gpus=gpus)
            for number, node in enumerate(nodes)
        ]
        known = [one for one in told if one is not None]
        start = self.history.estimate_start(job.stage) or 0.0
        seconds = start + sum(known) if len(known) == len(told) else None
        return Timed(job, seconds, gpus, resources.threads)

    def _time_trainings(self, job: Job, nodes: Sequence[Node]) -> Timed:
        """Time a process that trains one model after the other; it starts once."""
        timed = [self._time_training(job, node, is_first=not number) for number, node in enumerate(nodes)]
        known = [one.seconds for one in timed if one.seconds is not None]
        by_formula = any(one.by_formula for one in timed)
        start = 0.0 if by_formula else self.history.estimate_start(job.stage) or 0.0
        seconds = start + sum(known) if len(known) == len(timed) else None
        return replace(timed[0], seconds=seconds, by_formula=by_formula)

    def _time_training(self, job: Job, node: Node, is_first: bool) -> Timed:
        resources = self.resources.find(node)
        ranks, gpus = resources.launch.ranks, count_gpus(node.spec, resources)
        cores = resources.threads * resources.launch.nodes
        alike = None
        if not self.by_formula and (gpus or not self.on_gpus):
            amount = self.amounts.measure(node)
            alike = self.history.estimate_seconds(job.stage, amount, is_first=is_first, gpus=gpus, alike=True)
        if alike is not None:
            return Timed(job, alike / ranks, gpus, cores)
        if not gpus and not self.on_gpus and not self.by_formula:
            return Timed(job, None, 0, cores)
        width = max(1, gpus)
        hours = self._count_gpu_hours_of(self.runs[node.key])
        return Timed(job, None if hours is None else hours * 3600 / width, width, cores, by_formula=True)

    def _count_gpu_hours_of(self, run: TrainingRun) -> float | None:
        if run.flops is None:
            return None
        peak = self.gpu.float32 if run.dtype == "float32" else self.gpu.bfloat16
        return run.flops / (peak * self.mfu_of[run.base_model, run.node.stage]) / 3600

    def _count_gpu_hours(self, timed: Timed) -> float | None:
        if timed.job.stage in PRICED:
            hours = [self._count_gpu_hours_of(self.runs[key]) for key in timed.job.keys]
            known = [one for one in hours if one is not None]
            return sum(known) if len(known) == len(hours) else None
        if not timed.gpus:
            return 0.0
        return None if timed.seconds is None else timed.seconds * timed.gpus / 3600
