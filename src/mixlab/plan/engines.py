"""What the engines that a study names need of this machine, looked at before any job."""

from collections.abc import Iterable
from pathlib import Path

from mixlab.config.engines import HfEngineSettings, OpenaiEngineSettings, VllmEngineSettings
from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.resources import StageResources
from mixlab.config.studies import CONFIG
from mixlab.plan.graph import Plan
from mixlab.plan.specs import GenerateSpec, Spec


def require_engines(plan: Plan, machine: MachineSettings, keys: Iterable[str], root: Path) -> None:
    """Raise ConfigError where the runs of `keys` need vLLM and no Python stands where `machine.vllm` says."""
    needed = [
        node
        for node in (plan.nodes[key] for key in keys)
        if isinstance(node.spec, GenerateSpec) and isinstance(node.spec.engine, VllmEngineSettings)
    ]
    if needed and not (root / machine.vllm.python).is_file():
        message = f"no file {machine.vllm.python}: install vLLM with `make vllm`, or name the Python that has it"
        raise ConfigError(Problem(f"{message}; needed by '{needed[0].label}'", CONFIG, key="machine.vllm.python"))


def count_gpus(spec: Spec, resources: StageResources) -> int:
    """GPUs that one job holds on all its machines: none where a model is served elsewhere, one of engine hf at most."""
    if is_served(spec):
        return 0
    is_one = isinstance(spec, GenerateSpec) and isinstance(spec.engine, HfEngineSettings)
    return min(resources.gpus, 1) if is_one else resources.gpus * resources.launch.nodes


def is_served(spec: Spec) -> bool:
    """Whether an artifact is the answers of a model that is served elsewhere."""
    return isinstance(spec, GenerateSpec) and isinstance(spec.engine, OpenaiEngineSettings)
