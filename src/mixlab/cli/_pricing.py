"""The price of a plan: what would run, what it asks of GPUs, cores, disk and judges, and how long it takes."""

import os
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from mixlab.artifacts.records import Records
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.cli._judge_cost import JudgeLine, estimate_judging
from mixlab.config.pricing import GpuSettings
from mixlab.plan.amounts import Amounts
from mixlab.plan.asked import Answers, Generation, sum_generation
from mixlab.plan.beside import Beside, find_beside
from mixlab.plan.build import Planned
from mixlab.plan.bundles import find_failed
from mixlab.plan.demand import Demand, build_demand
from mixlab.plan.graph import Node
from mixlab.plan.jobs import Schedule
from mixlab.plan.model_resources import ModelResources, measure_models
from mixlab.plan.past import History, read_past
from mixlab.plan.price import PRICED, Line, TrainingRun, build_lines, list_runs, read_measured, sum_lines
from mixlab.plan.quote import Quoter, StageQuote
from mixlab.plan.sources_lock import read_lock
from mixlab.plan.workload import Workloads
from mixlab.stages.counting import Counter, open_counter

JUDGED = ("judge", "judge_pairs")


@dataclass(frozen=True)
class Terms:
    """What somebody wants to know the price for: a device, its share of the peak, how many GPUs and cores."""

    gpu: str | None = None
    mfu: float | None = None
    gpus: int | None = None
    cores: int | None = None

    @property
    def by_formula(self) -> bool:
        """Whether training is timed by formula though runs were measured: another device or share is asked about."""
        return self.gpu is not None or self.mfu is not None

    def count_cores(self) -> int:
        """The cores asked for, else those of this machine."""
        return self.cores or os.cpu_count() or 1


@dataclass(frozen=True)
class Priced:
    """What came out."""

    planned: Planned
    demand: Demand
    gpu: str
    peak: GpuSettings
    runs: Sequence[TrainingRun]
    lines: Sequence[Line]
    stages: Sequence[StageQuote]
    generation: Sequence[Generation]
    verdicts: dict[str, int]
    """By stage, what judges say: rules as well as models."""
    unread: int
    """Judgings whose items are not here, so that they are in no sum."""
    faults: dict[str, str]
    """Label of a benchmark's source -> why its items cannot be asked."""
    judging: Sequence[JudgeLine]
    schedule: Schedule
    history: History
    elsewhere: Sequence[str]
    """What the like was measured on beside that which is priced."""
    terms: Terms
    workloads: Workloads

    @property
    def totals(self) -> list[Line]:
        """One line of training for each stage that several base models have, then one for everything."""
        by_stage = {stage: [line for line in self.lines if line.stage == stage] for stage in PRICED}
        stages = [sum_lines(lines, stage) for stage, lines in by_stage.items() if len(lines) > 1]
        return [*stages, sum_lines(self.lines, "all")]

    @property
    def total(self) -> StageQuote:
        """The sum over all stages."""
        total = StageQuote("total")
        for line in self.stages:
            for name, value in vars(line).items():
                if name != "stage":
                    setattr(total, name, getattr(total, name) + value)
        return total


@dataclass(frozen=True)
class Pricer:
    """Prices a plan with some artifacts counted as finished, by what was measured before a moment."""

    planned: Planned
    counter: Counter
    runs: Sequence[TrainingRun]
    lines: Sequence[Line]
    quoter: Quoter
    answers: Answers
    terms: Terms
    gpu: str

    def price(self) -> Priced:
        """Price all that would run."""
        quoter = self.quoter
        nodes = [self.planned.plan.nodes[key] for key in quoter.demand.run]
        verdicts: Tally[str] = Tally()
        unread = 0
        for node in nodes:
            if node.stage in JUDGED:
                count = self.counter.count_verdicts(node)
                verdicts[node.stage] += count or 0
                unread += count is None
        return Priced(
            self.planned,
            quoter.demand,
            self.gpu,
            quoter.gpu,
            self.runs,
            self.lines,
            quoter.quote_stages(),
            self.sum_generation(nodes),
            dict(verdicts),
            unread,
            self._list_faults(),
            estimate_judging(self.counter, quoter.demand.run),
            quoter.schedule(self.terms.gpus, self.terms.count_cores()),
            quoter.history,
            quoter.list_elsewhere(),
            self.terms,
            quoter.amounts.workloads,
        )

    def _list_faults(self) -> dict[str, str]:
        """What is wrong with benchmarks that are priced; those beside are only measured."""
        own = {label for node in self.planned.plan.by_stage("source") for label in node.labels}
        return {label: why for label, why in self.counter.faults.items() if label in own}

    def sum_generation(self, nodes: Sequence[Node]) -> list[Generation]:
        """Sum up what those of stage generate ask."""
        asked = [node for node in nodes if node.stage == "generate"]
        return sum_generation(asked, self.counter.count_asked, self.answers)


@contextmanager
def open_pricer(
    store: Store,
    planned: Planned,
    states: States,
    terms: Terms,
    *,
    beside: Beside | None = None,
    before: datetime | None = None,
    records: Records | None = None,
) -> Iterator[Pricer]:
    """Gather what is known: `states` says what counts as finished, records of later than `before` are not looked at.

    What lies `beside` is measured too: what other studies made, and what an edit leaves behind. Raises ConfigError
    where jobs go by the size of their model and nothing says it, or it is in no row of the table, as a run does.
    """
    own = planned.plan.nodes
    wide = planned if beside is None else beside.widen(planned)
    pricing = planned.config.machine.pricing
    name, peak = pricing.choose(terms.gpu)
    demand = build_demand(planned.plan, states, [key for keys in planned.plan.targets.values() for key in keys])
    workloads = Workloads(wide.plan, store, wide.files, wide.facts, states.complete)
    records = records or Records(store)
    all_runs = list_runs(workloads, states, demand)
    runs = [run for run in all_runs if run.node.key in own]
    lines = build_lines(runs, peak, read_measured(records, all_runs, name, before), terms.mfu, pricing.mfu)
    made = [node for node in wide.plan.nodes.values() if node.name in states.complete]
    sizes = measure_models(planned.config.machine, workloads, demand.run)
    with open_counter(wide, store, states.complete) as counter:
        by_key = {run.node.key: run for run in all_runs}
        amounts = Amounts(workloads, by_key, _read_source_bytes(store), counter.count_items)
        quoter = Quoter(
            store,
            planned.plan,
            states,
            demand,
            by_key,
            {(line.base_model, line.stage): line.utilisation.mfu for line in lines if line.utilisation is not None},
            amounts,
            read_past(
                records,
                [node for node in made if node.key in own],
                amounts,
                name,
                before,
                [node for node in made if node.key not in own],
            ),
            ModelResources(planned.config.machine, planned.plan, sizes),
            peak,
            terms.by_formula,
            terms.gpus is not None,
            find_failed(store, before),
        )
        # answers to benchmarks that are not priced say nothing of those that are
        answered = [node for node in made if node.stage == "generate" and node.parents["items"][0] in own]
        answers = Answers(store, workloads, counter.count_asked, answered)
        yield Pricer(planned, counter, runs, lines, quoter, answers, terms, name)


def _read_source_bytes(store: Store) -> dict[str, int]:
    return {file.digest: file.bytes for one in read_lock(store.root).values() for file in one.files}


def price_plan(
    store: Store,
    planned: Planned,
    states: States,
    terms: Terms,
    beside: Beside | None = None,
    records: Records | None = None,
) -> Priced:
    """Price what would run now; `beside` is what is measured too, without it all that other studies here made."""
    records = records or Records(store)
    beside = find_beside(records, planned, states) if beside is None else beside
    with open_pricer(store, planned, states, terms, beside=beside, records=records) as pricer:
        return pricer.price()
