"""Host of stage label: an endpoint is reached, or a model opened once."""

from collections.abc import Mapping
from pathlib import Path

from mixlab.config.labelling import HfLabelEngine, LabelSettings, OpenaiLabelEngine
from mixlab.config.problems import ConfigError
from mixlab.data.labels.asking import Ask
from mixlab.data.labels.labelling import label_records
from mixlab.data.sources.source import count_records
from mixlab.plan.specs import LabelSpec
from mixlab.stages.job import Inputs
from mixlab.stages.source import open_dataset

STORE = Path("stores") / "labels.sqlite"
"""Below the working folder: every answer of every labeller; git-ignored."""


def run(spec: LabelSpec, inputs: Inputs, out: Path) -> Mapping[str, str]:
    """Write a category for each dialogue that the filters left."""
    dataset = open_dataset(inputs)
    return label_records(
        spec.label, dataset.numbered, count_records(dataset.root), open_labeller(spec.label, inputs), STORE, out
    )


def open_labeller(settings: LabelSettings, inputs: Inputs) -> Ask | None:
    """Return who answers; None for keyword rules. Raises ConfigError where this machine does not say who."""
    if isinstance(settings.engine, OpenaiLabelEngine):
        return _open_endpoint(settings, settings.engine, inputs)
    if isinstance(settings.engine, HfLabelEngine):
        return _open_model(settings.engine, inputs)
    return None


def _open_endpoint(settings: LabelSettings, engine: OpenaiLabelEngine, inputs: Inputs) -> Ask:
    from mixlab.generation.labellers import ask_endpoint
    from mixlab.stages.endpoints import open_endpoint

    return ask_endpoint(open_endpoint(settings.place, inputs), engine)


def _open_model(engine: HfLabelEngine, inputs: Inputs) -> Ask:
    # transformers takes seconds to import, and neither rules nor an endpoint need it
    from mixlab.generation.hf_chat import open_chat
    from mixlab.generation.labellers import ask_chat
    from mixlab.generation.model_folder import digest_model_folder

    if engine.digest not in inputs.files:
        raise ConfigError(f"{inputs.node.label}: no data root of this machine holds the labeller's model folder")
    folder = Path(inputs.files[engine.digest])
    if (found := digest_model_folder(folder)) != engine.digest:
        raise ConfigError(f"{folder}: the model folder's digest is {found}, the study names {engine.digest}")
    threads, batch = inputs.threads, inputs.machine.generation_batch
    chat = inputs.session.once(
        ("labeller", engine.digest, engine.dtype), lambda: open_chat(folder, engine.dtype, threads=threads, batch=batch)
    )
    return ask_chat(chat, engine)
