"""What the Snakefile looks up: for each rule its inputs, outputs, keys and resources, all from one plan."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

from mixlab.artifacts.links import clear_links
from mixlab.artifacts.restoring import require_fetchable
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.config.engines import OpenaiEngineSettings
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.plan.build import build_plan, split_names
from mixlab.plan.demand import Demand, build_demand
from mixlab.plan.graph import Node, Plan
from mixlab.plan.needs import require_machine
from mixlab.plan.planfile import read_plan, render_plan, write_plan
from mixlab.plan.specs import GenerateSpec
from mixlab.plan.stages import STAGES

log = logging.getLogger(__name__)

PLAN_VARIABLE = "MIXLAB_PLAN"
"""Environment variable by which the jobs of a run find the plan of the run that submitted them."""

NOTHING = "config.yaml"
"""A file that is always there: a target that wants nothing names it, so that Snakemake has nothing to do."""

_ALLOWED = ("study",)


@dataclass(frozen=True)
class Flow:
    """A plan with what is finished, asked rule by rule; `is_main` in the process that submits, not in its jobs."""

    store: Store
    plan: Plan
    states: States
    machine: MachineSettings
    plan_file: Path
    is_main: bool = True

    @cached_property
    def demand(self) -> Demand:
        """What a run of all studies would do."""
        return build_demand(self.plan, self.states, self.final_keys)

    @cached_property
    def final_keys(self) -> list[str]:
        """The last artifact of every study."""
        return [key for keys in self.plan.targets.values() for key in keys]

    @cached_property
    def _running(self) -> frozenset[str]:
        return frozenset(self.demand.run)

    def path(self, key: str) -> str:
        """The manifest of an artifact, relative to the working folder: the file Snakemake knows it by."""
        return f"artifacts/{self.plan.nodes[key].stage}/{key}/manifest.json"

    @cached_property
    def targets(self) -> list[str]:
        """What `all` asks for; never empty, so that a finished study says there is nothing to be done."""
        return [self.path(key) for key in self.final_keys]

    def wanted(self, stage: str) -> list[str]:
        """What `stage_<name>` asks for: the unfinished artifacts of a stage that an unfinished study needs."""
        asked = [*self.demand.run, *self.demand.fetch]
        return self._paths(key for key in asked if self.plan.nodes[key].stage == stage) or [NOTHING]

    def inputs(self, stage: str) -> Callable[[Any], list[str]]:
        """Return the input function of a stage's rule: nothing for a finished artifact, all inputs for another.

        A member of a group that another leads waits for the leader, whose process makes it.
        """

        def list_inputs(wildcards: Any) -> list[str]:
            node = self._node(stage, wildcards.key)
            # a discarded artifact that has to come back is finished by its tombstone and runs all the same
            if self.states.is_finished(node.name) and node.key not in self._running:
                return []
            if (leader := self._leader(node)) != node.key:
                return [self.path(leader)]
            return self._paths(key for member in self._missing(node) for key in member.inputs())

        return list_inputs

    def group_command(self, run: str, stage: str) -> Callable[[Any], str]:
        """Return the function that writes a grouped job's command line: all of its group that are missing."""

        def write_command(wildcards: Any) -> str:
            keys = " ".join(node.key for node in self._missing(self._node(stage, wildcards.key)))
            return f"{self.command(run, stage)} --key {keys}"

        return write_command

    def _node(self, stage: str, key: str) -> Node:
        node = self.plan.nodes.get(key)
        if node is None or node.stage != stage:
            raise ConfigError(f"{stage} {key}: no artifact of this plan; `mixlab plan` lists what it has")
        return node

    @cached_property
    def _groups(self) -> dict[tuple[str, str], list[Node]]:
        """Nodes to run of each grouped stage, by stage and group."""
        groups: dict[tuple[str, str], list[Node]] = {}
        for key in self.demand.run:
            node = self.plan.nodes[key]
            if STAGES[node.stage].grouped:
                groups.setdefault((node.stage, node.group), []).append(node)
        return groups

    def _missing(self, node: Node) -> list[Node]:
        return self._groups[node.stage, node.group] if self._is_grouped(node) else [node]

    def _is_grouped(self, node: Node) -> bool:
        """Whether a process of a group makes it in this run; what is asked for beside the demand is made alone."""
        return STAGES[node.stage].grouped and node.key in self._running

    def _leader(self, node: Node) -> str:
        """The member by which Snakemake knows a group's process: the first that is missing."""
        return self._missing(node)[0].key

    def _paths(self, keys: Iterable[str]) -> list[str]:
        nodes = self.plan.nodes
        return list(dict.fromkeys(self.path(self._leader(nodes[key])) for key in keys))

    @cached_property
    def fetched(self) -> list[str]:
        """Outputs of the `fetch` rule: the tracked, absent artifacts that the wanted ones read, or that are wanted."""
        return [self.path(key) for key in self.demand.fetch]

    def pattern(self, stage: str) -> str:
        """Pattern of the keys that a stage's rule may build: not those that are tracked and absent."""
        absent = sorted(
            key for name, key in self.states.tracked if name == stage and self.states.is_absent((name, key))
        )
        refused = f"(?!(?:{'|'.join(absent)})/)" if absent else ""
        return f"{refused}[0-9a-f]{{16}}"

    @cached_property
    def single_fetch_pattern(self) -> str:
        """Pattern of `<stage>/<key>` of what can be fetched but is not wanted by any study: only when asked for."""
        wanted = set(self.demand.fetch)
        names = (name for name in sorted(self.states.tracked) if name[1] not in wanted and self.states.is_absent(name))
        return "|".join(re.escape(f"{stage}/{key}") for stage, key in names) or "nothing-is-absent"

    def command(self, run: str, stage: str) -> str:
        """The command line of a stage's jobs, up to their keys; `run` is how a doormat is called."""
        return f"{run}/{stage}.py --plan {quote(str(self.plan_file))}"

    def threads(self, stage: str) -> int:
        """CPU threads of one job of a stage."""
        return self.machine.resources(stage).threads

    def memory_mib(self, stage: str) -> int:
        """Main memory of one job of a stage, in MiB."""
        return self.machine.resources(stage).memory_mib

    def minutes(self, stage: str) -> int:
        """Wall time granted to one job of a stage, in minutes."""
        return self.machine.resources(stage).runtime_minutes

    def gpus(self, stage: str) -> int:
        """GPUs of one job of a stage."""
        return self.machine.resources(stage).gpus

    def engine_gpus(self, stage: str) -> Callable[[Any], int]:
        """Return the function that says how many GPUs a job of a stage asks for: none where a model is served."""

        def count_gpus(wildcards: Any) -> int:
            spec = self._node(stage, wildcards.key).spec
            is_served = isinstance(spec, GenerateSpec) and isinstance(spec.engine, OpenaiEngineSettings)
            return 0 if is_served else self.gpus(stage)

        return count_gpus

    def training_resources(self, stage: str) -> dict[str, int | str]:
        """What one training job asks for, on one machine or several, as Snakemake's executor for Slurm knows it.

        For several machines the job's own process calls srun (`mpi`), one task each.
        """
        resources = self.machine.resources(stage)
        nodes = resources.launch.nodes
        asked: dict[str, int | str] = {"mem_mb": resources.memory_mib, "runtime": resources.runtime_minutes}
        if nodes == 1:
            return {**asked, "gpu": resources.gpus}
        spread = {**asked, "mpi": "srun", "nodes": nodes, "tasks": nodes}
        # `gpu` would be their sum over the machines, and the executor would start `tasks` for each of them
        return {**spread, "gres": f"gpu:{resources.gpus}", "tasks_per_gpu": 0} if resources.gpus else spread

    def retries(self, stage: str) -> int:
        """How often a training job that ended early is started again; it goes on from its newest state.

        A job's own process, which reads the rules again, starts nothing again: the job is over, or its time nearly is.
        """
        return self.machine.resources(stage).retries if self.is_main else 0


def open_workflow(root: Path, config: Mapping[str, Any], is_main: bool, environment: dict[str, str]) -> Flow:
    """Plan the studies for a Snakemake run, write the plan file and announce it to the jobs of the run.

    A job that reads the Snakefile again is given the plan of the run that submitted it. Raises ConfigError, and
    ArtifactError listing every tracked artifact the run needs whose data neither cache nor remote has.
    """
    store = Store(root)
    inherited = environment.get(PLAN_VARIABLE)
    if not is_main and inherited:
        known = read_plan(Path(inherited))
        return Flow(store, known.plan, read_states(store, STAGES), known.machine, Path(inherited), is_main=False)
    for key in config:
        if key not in _ALLOWED:
            hint = did_you_mean(key, _ALLOWED)
            message = f"--config takes only `study=NAME`{hint}; other settings stand in config.yaml and studies/"
            raise ConfigError(Problem(message, key=key))
    planned = build_plan(root, split_names(str(config.get("study", ""))))
    text = render_plan(planned.plan, planned.config.machine, planned.files)
    path = write_plan(store, text).relative_to(root)
    environment[PLAN_VARIABLE] = str(path)
    flow = Flow(store, planned.plan, read_states(store, STAGES), planned.config.machine, path, is_main=is_main)
    clear_links(root)
    # before any job: what this machine lacks, and data that nobody has, would else end the run in its middle
    for warning in require_machine(planned, flow.demand.run, root, environment):
        log.warning("mixlab: %s", warning)
    require_fetchable(store, [planned.plan.nodes[key].name for key in flow.demand.fetch])
    return flow


def exit_with(error: Exception) -> None:
    """Print a user's mistake without a traceback and leave with exit code 2, whatever Snakemake would make of it."""
    os.write(2, f"mixlab: {error}\n".encode())
    os._exit(2)
