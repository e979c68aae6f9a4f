"""The formula of training with its numbers put in, so that a figure can be checked by hand."""

from collections.abc import Iterable, Iterator

from mixlab.config.model_flops import DecoderShape, count_parameters
from mixlab.config.pricing import GpuSettings
from mixlab.plan.price import Line, TrainingRun, find_training
from mixlab.plan.workload import Workloads


def render_arithmetic(
    workloads: Workloads, runs: Iterable[TrainingRun], lines: Iterable[Line], gpu: GpuSettings
) -> Iterator[str]:
    """Yield, for each kind of run of a base model and a stage, its formula with numbers, and the hours of all alike."""
    mfu = {(line.base_model, line.stage): line.utilisation.mfu for line in lines if line.utilisation is not None}
    kinds: dict[tuple[str, str, int, str], list[TrainingRun]] = {}
    for run in runs:
        if run.flops is not None and run.workload is not None:
            kinds.setdefault((run.base_model, run.node.stage, run.flops, run.dtype), []).append(run)
    shown: set[str] = set()
    for (base, stage, flops, dtype), alike in kinds.items():
        shape = workloads.shape(workloads.plan.find_base(alike[0].node))
        if base not in shown:
            shown.add(base)
            yield from _render_shape(base, shape)
        yield from _render_run(f"{base}, {stage}", shape, alike)
        peak, share = getattr(gpu, dtype), mfu[base, stage]
        hours = flops / (peak * share) / 3600
        yield f"  / ({peak / 1e12:g}e12 FLOP/s in {dtype} x {share:g} MFU x 3600 s) = {hours:,.4g} GPU-hours a run"
        yield f"  x {len(alike)} runs = {flops * len(alike):.4g} FLOPs, {hours * len(alike):,.4g} GPU-hours"


def _render_shape(base: str, shape: DecoderShape) -> Iterator[str]:
    per_layer = shape.projections()
    sides = " + ".join(f"{rows}x{columns}{f'x{of}' if of > 1 else ''}" for rows, columns, of in per_layer.values())
    count = count_parameters(shape)
    yield f"{base}: W = {shape.layers} layers x ({sides}) = {count.active_projections:,} ({', '.join(per_layer)})"
    yield f"  vocabulary {shape.vocab_size:,} x width {shape.hidden_size:,}; {count.total:,} parameters in all"


def _render_run(name: str, shape: DecoderShape, alike: list[TrainingRun]) -> Iterator[str]:
    """Adapters and experts are in the sum; the line of terms is shown for models all of whose weights train."""
    run = alike[0]
    work = run.workload
    if work is None:
        raise TypeError(f"expected a run whose tokens are known, got {run.node.key}")
    weights = count_parameters(shape).active_projections
    training = find_training(run.node)
    batch = training.global_batch_windows
    windows = f"{batch:,} windows of at most {work.sequence_tokens:,} tokens"
    yield f"{name}: {work.tokens:,} tokens in {work.steps:,} steps of {windows}"
    yield f"  S = {work.tokens:,} x {work.sequence_tokens:,} = {work.squared_tokens:,}"
    if training.lora is None:
        matrices = f"6 x {weights:,} x {work.tokens:,}"
        head = f"6 x {shape.vocab_size:,} x {shape.hidden_size:,} x {work.head_tokens:,}"
        attention = f"6 x {shape.layers} x {shape.heads} x {shape.head_size} x {work.squared_tokens:,}"
        yield f"  {matrices} + {head} + {attention} = {run.flops:.4g} FLOPs a run"
    else:
        yield f"  with adapters (docs/price.md): {run.flops:.4g} FLOPs a run"
