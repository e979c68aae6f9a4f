"""How large the model is that a job works on, and so what the job asks of the machine or of Slurm."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mixlab.config.machine import MachineSettings
from mixlab.config.model_flops import count_parameters
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.resources import SIZED, StageResources
from mixlab.config.studies import CONFIG
from mixlab.plan.graph import Node, Plan
from mixlab.plan.workload import UnknownError, Workloads

_BASES = ("base_model", "pretrain")
"""Stages that make a model which goes back to no other."""


def find_model(plan: Plan, node: Node) -> Node | None:
    """Return the base model behind the one that a job loads; None where it loads none, as where a model is served."""
    if node.stage not in SIZED:
        return None
    base = plan.find_base(node)
    return base if base.stage in _BASES else None


def measure_models(machine: MachineSettings, workloads: Workloads, keys: Iterable[str]) -> dict[str, int]:
    """Count the parameters of every base model behind the jobs of `keys` that go by size, by its key.

    Raises ConfigError naming each model whose size nothing here says yet, and each that is larger than every row.
    """
    sized = {stage for row in machine.sizes for stage in row.stages}
    nodes = [node for key in keys if (node := workloads.plan.nodes[key]).stage in sized]
    counts: dict[str, int] = {}
    problems: dict[str, Problem] = {}
    for node in nodes:
        base = find_model(workloads.plan, node)
        if base is None or base.key in problems:
            continue
        try:
            counts[base.key] = count_parameters(workloads.shape(base)).total
            machine.resources(node.stage, counts[base.key])
        except UnknownError as error:
            message = f"what jobs on {base.label} ask for depends on its size, and {error}"
            problems[base.key] = Problem(message, CONFIG, key="machine.sizes")
        except ConfigError as error:
            problems[base.key] = replace(
                error.problems[0], file=CONFIG, message=f"{base.label}: {error.problems[0].message}"
            )
    if problems:
        raise ConfigError(problems.values())
    return counts


@dataclass(frozen=True)
class ModelResources:
    """What the jobs of a plan ask for; `parameters` are of base models, by their keys."""

    machine: MachineSettings
    plan: Plan
    parameters: Mapping[str, int]
    _known: dict[tuple[str, int | None], StageResources] = field(default_factory=dict)

    def are_sized(self, stage: str) -> bool:
        """Whether jobs of a stage may differ in what they ask for."""
        return any(stage in row.stages for row in self.machine.sizes)

    def find(self, node: Node) -> StageResources:
        """Return what the job that makes `node` asks for; raises ConfigError for a model larger than every row."""
        base = find_model(self.plan, node) if self.are_sized(node.stage) else None
        count = None if base is None else self.parameters.get(base.key)
        if (node.stage, count) not in self._known:
            self._known[node.stage, count] = self.machine.resources(node.stage, count)
        return self._known[node.stage, count]

    def list_possible(self, stage: str) -> list[StageResources]:
        """List what jobs of a stage may ask for: one entry, or one for each row of the table of sizes."""
        rows = self.machine.sizes if self.are_sized(stage) else ()
        counts: list[int | None] = [int(row.up_to_parameters) for row in rows] or [None]
        return [self.machine.resources(stage, count) for count in counts]
