"""How many bytes models take on disk, by formula: parameters x bytes of a number x models that are kept."""

from mixlab.config.model_flops import LoraShape, count_adapter_parameters, count_parameters
from mixlab.config.training import TrainSettings
from mixlab.plan import specs
from mixlab.plan.graph import Node
from mixlab.plan.price import PRICED
from mixlab.plan.workload import UnknownError, Workloads

STORED_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
TRAINED_BYTES = STORED_BYTES["float32"]
"""Of a weight as our trainer writes it, whatever it computes in."""


def count_model_bytes(workloads: Workloads, node: Node) -> int | None:
    """Count the weights that an artifact of a model will hold; None for other stages, and where the shape is unknown.

    Headers, logs and config.json are left out: a few kilobytes.
    """
    averaging = node.spec.averaging if isinstance(node.spec, specs.AverageSpec) else None
    if node.stage not in PRICED and averaging is None:
        return None
    try:
        shape = workloads.shape(workloads.plan.find_base(node))
    except UnknownError:
        return None
    parameters = count_parameters(shape).total
    if averaging is not None:
        return parameters * STORED_BYTES[averaging.dtype]
    training = getattr(node.spec, "training", None)
    if not isinstance(training, TrainSettings) or training.kept_epochs is None:
        return None
    models = training.snapshots.keep if training.snapshots is not None else 1 + training.kept_epochs
    lora = training.lora
    adapters = 0 if lora is None else count_adapter_parameters(shape, LoraShape(lora.rank, tuple(lora.targets)))
    return TRAINED_BYTES * (parameters * models + adapters)
