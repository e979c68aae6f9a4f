"""What the Snakefile looks up: for each rule its inputs, outputs, keys and resources, all from one plan."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mixlab.artifacts.links import clear_links
from mixlab.artifacts.restoring import require_fetchable
from mixlab.artifacts.runs import JobCard
from mixlab.artifacts.states import Name, States, read_states
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import require_agreeing
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.resources import TRAINED, StageResources
from mixlab.plan.build import build_plan, split_names
from mixlab.plan.bundles import Bundles, find_failed
from mixlab.plan.demand import Demand, build_demand
from mixlab.plan.engines import count_gpus, is_served
from mixlab.plan.graph import Node, Plan
from mixlab.plan.job_flow import NEVER, NOTHING, write_command
from mixlab.plan.model_resources import ModelResources, measure_plan
from mixlab.plan.needs import require_machine
from mixlab.plan.planfile import read_plan, render_plan, write_plan
from mixlab.plan.stages import STAGES
from mixlab.plan.starting import start_run

log = logging.getLogger(__name__)

PLAN_VARIABLE = "MIXLAB_PLAN"
"""Environment variable by which the jobs of a run find the plan of the run that submitted them."""

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
    parameters: Mapping[str, int] = field(default_factory=dict)

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

    @property
    def stages(self) -> list[str]:
        """Names of all stages, each of which is a target."""
        return list(STAGES)

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
            if self._is_finished(node):
                return []
            if (leader := self._leader(node)) != node.key:
                return [self.path(leader)]
            return self._paths(key for member in self._bundles.of(node) for key in member.inputs())

        return list_inputs

    def group_command(self, run: str, stage: str) -> Callable[[Any], str]:
        """Return the function that writes a grouped job's command line: all of its group that are missing."""

        def write_keys(wildcards: Any) -> str:
            keys = " ".join(node.key for node in self._bundles.of(self._node(stage, wildcards.key)))
            return f"{self.command(run, stage)} --key {keys}"

        return write_keys

    def _is_finished(self, node: Node) -> bool:
        # a discarded artifact that has to come back is finished by its tombstone and runs all the same
        return self.states.is_finished(node.name) and node.key not in self._running

    def _node(self, stage: str, key: str) -> Node:
        node = self.plan.nodes.get(key)
        if node is None or node.stage != stage:
            raise ConfigError(f"{stage} {key}: no artifact of this plan; `mixlab plan` lists what it has")
        return node

    @cached_property
    def _bundles(self) -> Bundles:
        """What each process of this run makes; what is asked for beside the demand is made alone."""
        return Bundles(self._resources, self.demand.run, find_failed(self.store))

    def list_read(self) -> set[Name]:
        """List what the jobs of a run read."""
        nodes = self.plan.nodes
        return {nodes[parent].name for key in self.demand.run for parent in nodes[key].inputs()}

    def start(self, workflow: Any, environment: MutableMapping[str, str]) -> None:
        """Check and note a run that begins: Snakemake calls it with its own workflow, before the first job."""
        keys = [job.wildcards_dict["key"] for job in workflow.dag.needrun_jobs() if job.rule.name in STAGES]
        start_run(self.store.work, self.plan_file, self.list_jobs(keys), workflow, environment)

    def list_jobs(self, asked: Iterable[str] = ()) -> dict[str, JobCard]:
        """What the jobs of a run are told, by the artifact by which Snakemake knows each.

        They are those of all studies, and those of `asked`: a target that is named may be one that no study waits for.
        """
        leaders = [key for key in self.demand.run if self._leader(self.plan.nodes[key]) == key]
        return {key: self._describe_job(self.plan.nodes[key]) for key in dict.fromkeys([*leaders, *asked])}

    def _describe_job(self, node: Node) -> JobCard:
        job = SimpleNamespace(key=node.key)
        told = {name: value(job) if callable(value) else value for name, value in self.asked(node.stage).items()}
        threads = self.threads(node.stage)
        return JobCard(
            [member.key for member in self._bundles.of(node)],
            self.inputs(node.stage)(job),
            threads(job) if callable(threads) else threads,
            {name: value for name, value in told.items() if value is not None},
        )

    def _leader(self, node: Node) -> str:
        """The member by which Snakemake knows a group's process: the first that is missing."""
        return self._bundles.of(node)[0].key

    def _paths(self, keys: Iterable[str]) -> list[str]:
        nodes = self.plan.nodes
        return [self.path(leader) for leader in dict.fromkeys(self._leader(nodes[key]) for key in keys)]

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
        return "|".join(re.escape(f"{stage}/{key}") for stage, key in names) or NEVER

    def command(self, run: str, stage: str) -> str:
        """The command line of a stage's jobs, up to their keys; `run` is how a doormat is called."""
        return write_command(run, stage, self.plan_file)

    def threads(self, stage: str) -> Any:
        """CPU threads of one job of a stage; where its model's size decides, the function that says it of one."""
        return self._each(stage, lambda asked: asked.threads)

    def asked(self, stage: str) -> dict[str, Any]:
        """What one job of a stage asks for, as Snakemake and its executor for Slurm know it.

        A stage that asks for no GPU, as where all models are served, goes to the partition that config.yaml names for
        it, if it names one. All jobs of a rule go to one: without a partition of their own they would lose the default.
        """
        if stage in TRAINED:
            asked = self.training_resources(stage)
        else:
            asked = {
                "mem_mb": self._each(stage, lambda one: one.memory_mib),
                "runtime": self._each(stage, lambda one: one.runtime_minutes),
            }
        if stage == "generate":
            asked |= self._keep_together(stage, self.engine_gpus(stage))
        elif stage == "base_model":
            asked |= self._keep_together(stage, lambda job: self._resources.find(self._node(stage, job.key)).gpus)
        partition = self.machine.cluster.cpu_partition
        if partition is not None and not self._may_have_gpus(stage):
            asked["slurm_partition"] = partition
        return asked

    def _keep_together(self, stage: str, count: Callable[[Any], int]) -> dict[str, Any]:
        """What says of a job on one machine how many GPUs it asks for, and that they are to be those of one machine."""
        may_spread = any(one.gpus > 1 for one in self._resources.list_possible(stage))
        return {"gpu": count, **({"nodes": lambda job: _hold_together(count(job)).get("nodes")} if may_spread else {})}

    def _may_have_gpus(self, stage: str) -> bool:
        is_used = stage != "generate" or not self._are_all_served
        return is_used and any(one.gpus for one in self._resources.list_possible(stage))

    @cached_property
    def _are_all_served(self) -> bool:
        return all(is_served(node.spec) for node in self.plan.by_stage("generate"))

    def engine_gpus(self, stage: str) -> Callable[[Any], int]:
        """Return the function that says how many GPUs a job of a stage asks for, as its engine can use them."""

        def tell_gpus(wildcards: Any) -> int:
            members = self._bundles.of(self._node(stage, wildcards.key))
            return max(count_gpus(node.spec, self._resources.find(node)) for node in members)

        return tell_gpus

    def training_resources(self, stage: str) -> dict[str, Any]:
        """What one training job asks for, on one machine or several; what is None it does not ask for."""
        if not self._resources.are_sized(stage):
            return _spread(self.machine.resources(stage))
        names = dict.fromkeys(name for asked in self._resources.list_possible(stage) for name in _spread(asked))
        return {name: self._each(stage, partial(_tell, name)) for name in names}

    def retries(self, stage: str) -> int:
        """How often a training job that ended early is started again; it goes on from its newest state.

        A job's own process, which reads the rules again, starts nothing again: the job is over, or its time nearly is.
        Snakemake knows one number for all jobs of a rule: the largest.
        """
        return max(one.retries for one in self._resources.list_possible(stage)) if self.is_main else 0

    @cached_property
    def _resources(self) -> ModelResources:
        return ModelResources(self.machine, self.plan, self.parameters)

    def _each(self, stage: str, tell: Callable[[StageResources], Any]) -> Any:
        """What `tell` says of all jobs of a stage, or the function that says it of one."""
        if not self._resources.are_sized(stage):
            return tell(self.machine.resources(stage))
        return lambda wildcards: tell(self._resources.find(self._node(stage, wildcards.key)))


def _tell(name: str, asked: StageResources) -> int | str | None:
    return _spread(asked).get(name)


def _hold_together(gpus: int) -> dict[str, int]:
    """What keeps a job's GPUs on one machine: `gpu` alone is a sum that Slurm takes from several where one has few."""
    return {"nodes": 1} if gpus > 1 else {}


def _spread(asked: StageResources) -> dict[str, int | str]:
    """What one training job asks for; for several machines its own process calls srun (`mpi`), one task each."""
    nodes = asked.launch.nodes
    found: dict[str, int | str] = {"mem_mb": asked.memory_mib, "runtime": asked.runtime_minutes}
    if nodes == 1:
        return {**found, "gpu": asked.gpus, **_hold_together(asked.gpus)}
    spread = {**found, "mpi": "srun", "nodes": nodes, "tasks": nodes}
    # `gpu` would be their sum over the machines, and the executor would start `tasks` for each of them
    return {**spread, "gres": f"gpu:{asked.gpus}", "tasks_per_gpu": 0} if asked.gpus else spread


def open_workflow(root: Path, config: Mapping[str, Any], is_main: bool, environment: dict[str, str]) -> Flow:
    """Plan the studies for a Snakemake run, write the plan file and announce it to the jobs of the run.

    A job that reads the Snakefile again is given the plan of the run that submitted it. Raises ConfigError, and
    ArtifactError listing every tracked artifact the run needs whose data neither cache nor remote has, or which is
    here with other bytes than its pointer names.
    """
    store = Store(root)
    inherited = environment.get(PLAN_VARIABLE)
    if not is_main and inherited:
        known = read_plan(Path(inherited))
        states = read_states(store, STAGES)
        return Flow(
            store, known.plan, states, known.machine, Path(inherited), is_main=False, parameters=known.parameters
        )
    for key in config:
        if key not in _ALLOWED:
            hint = did_you_mean(key, _ALLOWED)
            message = f"--config takes only `study=NAME`{hint}; other settings stand in config.yaml and studies/"
            raise ConfigError(Problem(message, key=key))
    planned = build_plan(root, split_names(str(config.get("study", ""))))
    machine, states = planned.config.machine, read_states(store, STAGES)
    parameters = measure_plan(planned, store, states)
    path = write_plan(store, render_plan(planned.plan, machine, planned.files, parameters)).relative_to(root)
    environment[PLAN_VARIABLE] = str(path)
    flow = Flow(store, planned.plan, states, machine, path, is_main=is_main, parameters=parameters)
    clear_links(root)
    # before any job: what this machine lacks, and data that nobody has, would else end the run in its middle
    for warning in (*planned.warnings, *require_machine(planned, flow.demand.run, root, environment, parameters)):
        log.warning("mixlab: %s", warning)
    require_agreeing(store, flow.list_read())
    require_fetchable(store, [planned.plan.nodes[key].name for key in flow.demand.fetch])
    return flow
