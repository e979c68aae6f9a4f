"""How large the model is that a job works on, and so what the job asks of the machine or of Slurm."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.config.deepspeed import find_conflicts, read_overlay
from mixlab.config.launching import LaunchSettings
from mixlab.config.machine import MachineSettings
from mixlab.config.model_flops import count_parameters
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.resources import SIZED, TRAINED, StageResources
from mixlab.config.studies import CONFIG
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Node, Plan
from mixlab.plan.trainers import training_of
from mixlab.plan.workload import UnknownError, Workloads

if TYPE_CHECKING:
    from mixlab.plan.build import Planned

_BASES = ("base_model", "pretrain")
"""Stages that make a model which goes back to no other."""


def find_model(plan: Plan, node: Node) -> Node | None:
    """Return the base model behind the one that a job loads; None where it loads none, as where a model is served."""
    if node.stage not in SIZED:
        return None
    base = plan.find_base(node)
    return base if base.stage in _BASES else None


def measure_plan(planned: "Planned", store: Store, states: States, needed: bool = True) -> dict[str, int]:
    """As `measure_models`, of a plan and what its studies still have to make; not `needed`: as far as it is known."""
    if not planned.config.machine.sizes:
        return {}
    plan = planned.plan
    workloads = Workloads(plan, store, planned.files, planned.facts)
    targets = [key for keys in plan.targets.values() for key in keys]
    wanted = build_demand(plan, states, targets).run if needed else ()
    return measure_models(planned.config.machine, workloads, wanted)


def list_by_size(machine: MachineSettings) -> list[str]:
    """List the stages whose jobs ask for one thing or another by the size of their model.

    How many models share a process is no such thing: one whose size nobody knows has a process of its own.
    """
    found = []
    for stage in dict.fromkeys(stage for row in machine.sizes for stage in row.stages):
        anyhow = machine.resources(stage).alone()
        if any(machine.resources(stage, int(row.up_to_parameters)).alone() != anyhow for row in machine.sizes):
            found.append(stage)
    return found


def measure_models(machine: MachineSettings, workloads: Workloads, keys: Iterable[str]) -> dict[str, int]:
    """Count the parameters of every base model behind the jobs of a plan that go by size, by its key.

    Raises ConfigError naming each model behind the jobs of `keys` whose size nothing here says yet, or that is larger
    than every row. Another model that is unknown, or cannot be read, is left out: a job on it is refused when it is
    asked for.
    """
    sized = {stage for row in machine.sizes for stage in row.stages}
    wanted = set(keys)
    jobs: dict[str, list[str]] = {}
    for node in workloads.plan.nodes.values():
        base = find_model(workloads.plan, node) if node.stage in sized else None
        if base is not None:
            jobs.setdefault(base.key, []).extend([node.stage] if node.key in wanted else [])
    counts: dict[str, int] = {}
    problems: list[Problem] = []
    by_size = list_by_size(machine)
    for key, asked in jobs.items():
        stages = [stage for stage in asked if stage in by_size]
        model = workloads.plan.nodes[key]
        try:
            counts[key] = count_parameters(workloads.shape(model)).total
            for stage in dict.fromkeys(stages):
                machine.resources(stage, counts[key])
        except UnknownError as error:
            if stages:
                problems.append(Problem(f"{_explain(model)}, and {error}", CONFIG, key="machine.sizes"))
        except ArtifactError:
            if stages:
                raise
        except ConfigError as error:
            # as before there was a table: what is asked for is the same whatever the size
            if by_size:
                problems.append(
                    replace(error.problems[0], file=CONFIG, message=f"{model.label}: {error.problems[0].message}")
                )
    if problems:
        raise ConfigError(problems)
    return counts


def _explain(base: Node) -> str:
    return f"what jobs on {base.label} ask for depends on its size"


@dataclass(frozen=True)
class ModelResources:
    """What the jobs of a plan ask for; `parameters` are of base models, by their keys."""

    machine: MachineSettings
    plan: Plan
    parameters: Mapping[str, int]
    _known: dict[tuple[str, int | None], StageResources] = field(default_factory=dict)

    @cached_property
    def _by_size(self) -> list[str]:
        return list_by_size(self.machine)

    def are_sized(self, stage: str) -> bool:
        """Whether jobs of a stage may differ in what they ask for."""
        return any(stage in row.stages for row in self.machine.sizes)

    def find(self, node: Node) -> StageResources:
        """Return what the job that makes `node` asks for.

        Raises ConfigError for a model that is larger than every row, and for one whose size is not known.
        """
        base = find_model(self.plan, node) if self.are_sized(node.stage) else None
        if base is not None and base.key not in self.parameters:
            if node.stage not in self._by_size:
                return self.machine.resources(node.stage).alone()
            message = f"{_explain(base)}, which is not known; `mixlab lock` notes that of a model that is read"
            raise ConfigError(Problem(message, CONFIG, key="machine.sizes"))
        count = None if base is None else self.parameters[base.key]
        if (node.stage, count) not in self._known:
            self._known[node.stage, count] = self.machine.resources(node.stage, count)
        return self._known[node.stage, count]

    def count_bundled(self, node: Node) -> int:
        """Say how many models the job may serve that makes `node`; 1 as long as nothing says how large its model is."""
        base = find_model(self.plan, node) if self.are_sized(node.stage) else None
        return 1 if base is not None and base.key not in self.parameters else self.find(node).models_per_job

    def list_possible(self, stage: str) -> list[StageResources]:
        """List what jobs of a stage may ask for: one entry, or one for each row of the table of sizes."""
        rows = self.machine.sizes if self.are_sized(stage) else ()
        counts: list[int | None] = [int(row.up_to_parameters) for row in rows] or [None]
        return [self.machine.resources(stage, count) for count in counts]


def require_launches(resources: ModelResources, keys: Iterable[str], root: Path) -> None:
    """Raise ConfigError for what keeps trainings of `keys` from beginning, which else a job tells that has its nodes.

    GPUs that none of a job's processes uses, or fewer than processes; settings that its kind of sharing cannot compute;
    a file for DeepSpeed that is none. How another trainer than ours starts its own processes is its affair.
    """
    found: dict[Problem, None] = {}
    for node in (resources.plan.nodes[key] for key in keys):
        training = training_of(node.spec)
        if node.stage in TRAINED and training is not None and training.trainer is None:
            asked = resources.find(node)
            found |= dict.fromkeys(_check_processes(node.stage, asked))
            conflicts = find_conflicts(training, asked.launch)
            found |= {Problem(f"{node.stage}: {one}", CONFIG, key="machine"): None for one in conflicts}
            found |= dict.fromkeys(_check_file(asked.launch, root))
    if found:
        raise ConfigError(found)


def _check_processes(stage: str, asked: StageResources) -> list[Problem]:
    """Each process computes on one GPU."""
    count = asked.launch.processes_per_node
    if not asked.gpus or asked.launch.device == "cpu" or asked.gpus == count:
        return []
    cure = "each process computes on one GPU of its node; let the two be the same"
    message = f"{stage}: gpus: {asked.gpus}, and launch.processes_per_node: {count}; {cure}"
    return [Problem(message, CONFIG, key="machine")]


def _check_file(launch: LaunchSettings, root: Path) -> Sequence[Problem]:
    try:
        if launch.deepspeed_config is not None:
            read_overlay(root / launch.deepspeed_config)
    except ConfigError as error:
        return error.problems
    return []
