"""What the hosts of pretrain, ipt and sft do where another trainer trains: hand over, run, look at what came back."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.config.problems import ConfigError, Problem
from mixlab.config.studies import CONFIG
from mixlab.config.trainers import LOOKED_UP, ExternalTrainer, TrainerCommands, fill_template, find_template_problems
from mixlab.config.training import TrainSettings
from mixlab.data.exports.export import Exported
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.data.writing import read_json, write_json
from mixlab.plan.behind import find_behind
from mixlab.plan.canonical import to_plain
from mixlab.plan.trainers import build_values, require_trainers
from mixlab.stages.exports import write_export
from mixlab.stages.job import Inputs
from mixlab.training.external.checking import Expected, check_models, find_shape, write_start
from mixlab.training.external.collecting import collect_files
from mixlab.training.external.running import Surroundings, run_commands
from mixlab.training.loading.batches import Stream
from mixlab.training.models.shape import CONFIG_FILE
from mixlab.training.models.weights import NewModel
from mixlab.training.optimization.schedule import check_schedule
from mixlab.training.run import find_snapshots

log = logging.getLogger(__name__)

CONTRACT = 1
"""Version of the form of spec.json."""


@dataclass(frozen=True)
class Handover:
    """What a trainer is given: the job's own folders, the model to begin with, and the numbers of the run."""

    trainer: ExternalTrainer
    settings: TrainSettings
    places: Mapping[str, Path]
    numbers: Mapping[str, int]
    snapshots: Mapping[str, int]
    """Name of each snapshot asked for -> the step after which it is taken."""

    def values(self) -> dict[str, Any]:
        """What the placeholders of a command are filled with."""
        paths = {name: str(path) for name, path in self.places.items()}
        config = read_json(self.places["model"] / CONFIG_FILE)
        return {**paths, **self.numbers, **build_values(self.settings, self.trainer), "config": config}


def train_outside(
    settings: TrainSettings, trainer: ExternalTrainer, seed: int, start: NewModel | Path, inputs: Inputs, out: Path
) -> Mapping[str, str]:
    """Let another trainer train; return what provenance is to say of it. Raises DataError for what it does wrong."""
    require_trainers(inputs.plan, inputs.machine, [inputs.node.key])
    windows = MixtureWindows(inputs.one("mixture"), inputs.all("packs"), inputs.all("stores"))
    passes = settings.count_passes(len(windows))
    stream = Stream(len(windows), settings.global_batch_windows, passes, settings.order, seed)
    snapshots = {name: step for step, name in find_snapshots(settings, stream).items()}
    numbers = {"seed": seed, "threads": inputs.threads, "steps": stream.steps}
    numbers |= {"sequence_tokens": windows.sequence_tokens}
    check_schedule(settings.schedule, stream.steps)
    expected = Expected(find_shape(start), tuple(snapshots))
    handover = Handover(trainer, settings, _make_places(inputs, trainer, start), numbers, snapshots)
    _export_mixture(handover, inputs)
    write_json(handover.places["spec"], _describe(handover, inputs))
    found_state = any(handover.places["resume"].iterdir())
    _run(handover, inputs.machine.trainers[trainer.name], inputs)
    made = handover.places["out"]
    found = check_models(made, expected)
    collect_files(made, found, out, link=True)
    resumed = {"resumed": "it found what an earlier attempt had kept"} if found_state else {}
    return {"trainer": trainer.title, "trainer_export": trainer.export, **resumed}


def _make_places(inputs: Inputs, trainer: ExternalTrainer, start: NewModel | Path) -> dict[str, Path]:
    attempt, kept = inputs.scratch().absolute(), inputs.resume.absolute() / "kept"
    for folder in (attempt / "out", attempt / "scratch", kept):
        folder.mkdir(exist_ok=True)
    return {
        "spec": attempt / "spec.json",
        "mixture": inputs.resume.absolute() / "mixture",
        "model": start.absolute() if isinstance(start, Path) else write_start(start, attempt / "model"),
        "out": attempt / "out",
        "resume": kept,
        "scratch": attempt / "scratch",
    }


def _export_mixture(handover: Handover, inputs: Inputs) -> None:
    """Export the mixture, unless an earlier attempt did: it appears when it is whole, and its key is the run's."""
    folder = handover.places["mixture"]
    if folder.is_dir():
        log.info("the mixture was exported by an earlier attempt")
        return
    behind = find_behind(inputs.plan, inputs.plan.nodes[inputs.node.parents["mixture"][0]])
    nodes = {"mixture": [behind.mixture], "packs": behind.packs, "stores": behind.stores}
    given = {**nodes, "tokenizer": [behind.tokenizer]}
    folders = {
        node.key: path for role, ones in given.items() for node, path in zip(ones, inputs.all(role), strict=True)
    }
    part = handover.places["spec"].parent / "mixture"
    part.mkdir()
    responses = handover.settings.loss == "response"
    exported = Exported(behind.mixture.label, behind.mixture.key, str(folder), responses, link=True)
    write_export(behind, lambda node: folders[node.key], exported, handover.trainer.export, part)
    part.rename(folder)


def _describe(handover: Handover, inputs: Inputs) -> dict[str, Any]:
    """spec.json: identity, numbers, settings, and where everything is."""
    node, values = inputs.node, handover.values()
    return {
        "contract": CONTRACT,
        "stage": node.stage,
        "key": node.key,
        "label": node.label,
        "spec": to_plain(node.spec),
        "parents": {role: list(references) for role, references in node.parents.items()},
        **{name: values[name] for name in (*handover.numbers, *LOOKED_UP)},
        "snapshots": dict(handover.snapshots),
        "paths": {name: values[name] for name in handover.places},
    }


def _run(handover: Handover, machine: TrainerCommands, inputs: Inputs) -> None:
    values = handover.values()
    if problems := find_template_problems(machine, values):
        raise ConfigError(Problem(one, CONFIG, key=f"machine.trainers.{handover.trainer.name}") for one in problems)
    environment = {name: fill_template(text, values) for name, text in machine.environment.items()}
    around = Surroundings(Path(machine.folder or ".").absolute(), environment, machine.stop_seconds)
    commands = [[fill_template(word, values) for word in command] for command in machine.commands]
    what = f"{inputs.node.stage} {inputs.node.key} ({inputs.node.label}): trainer '{handover.trainer.name}'"
    run_commands(what, commands, around, handover.places["resume"])
