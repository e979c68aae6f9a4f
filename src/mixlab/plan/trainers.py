"""Trainers that are not ours, seen from the plan: whether this machine can run what a plan asks of them."""

from collections.abc import Iterable
from typing import Any

from mixlab.config.machine import MachineSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.studies import CONFIG
from mixlab.config.trainers import PLACEHOLDERS, ExternalTrainer, find_template_problems
from mixlab.config.training import TrainSettings
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import Spec


def training_of(spec: Spec) -> TrainSettings | None:
    """Return how a spec trains; None for a stage that does not."""
    training = getattr(spec, "training", None)
    return training if isinstance(training, TrainSettings) else None


def trainer_of(spec: Spec) -> ExternalTrainer | None:
    """Return the trainer, not ours, that a spec asks for; None for mixlab's own and for what is not trained."""
    training = training_of(spec)
    return None if training is None else training.trainer


def build_values(training: TrainSettings, trainer: ExternalTrainer) -> dict[str, Any]:
    """What `{training.PATH}` and `{settings.PATH}` of a command are looked up in."""
    return {"training": training.model_dump(mode="json", exclude={"trainer"}), "settings": trainer.settings}


def require_trainers(plan: Plan, machine: MachineSettings, keys: Iterable[str]) -> None:
    """Raise ConfigError with every trainer that the runs of `keys` need and this machine cannot run."""
    needed: dict[tuple[str, str], list[Node]] = {}
    for node in (plan.nodes[key] for key in keys):
        training = training_of(node.spec)
        if training is None or training.trainer is None:
            continue
        for message in _find_problems(training, training.trainer, machine):
            needed.setdefault((training.trainer.name, message), []).append(node)
    if needed:
        raise ConfigError(
            Problem(f"{message}; needed by {_name(nodes)}", CONFIG, key=f"machine.trainers.{name}")
            for (name, message), nodes in needed.items()
        )


def _find_problems(training: TrainSettings, trainer: ExternalTrainer, machine: MachineSettings) -> list[str]:
    commands = machine.trainers.get(trainer.name)
    if commands is None:
        hint = did_you_mean(trainer.name, machine.trainers)
        return [f"this machine has no such trainer{hint or ': add it as docs/external-trainers.md says'}"]
    return find_template_problems(commands, dict.fromkeys(PLACEHOLDERS, "") | build_values(training, trainer))


def _name(nodes: list[Node]) -> str:
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"{nodes[0].stage} '{nodes[0].label}'{more}"
