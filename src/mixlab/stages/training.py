"""What the hosts of pretrain, ipt and sft share: one trainer, fed from a mixture, in one process or several."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from mixlab.artifacts.code import take_over_code
from mixlab.config.deepspeed import read_overlay
from mixlab.config.held_out import ValidationSettings
from mixlab.config.launching import LaunchSettings
from mixlab.config.problems import DataError
from mixlab.config.training import TrainSettings
from mixlab.stages.job import Inputs
from mixlab.stages.node import run_node
from mixlab.training.checkpoints.state import find_newest_step
from mixlab.training.engines.choice import ALONE, choose_kind
from mixlab.training.launching.failures import explain_cut_off, find_first_failure, has_failed, raise_failure
from mixlab.training.launching.job import CODE_FILE, RankJob
from mixlab.training.launching.processes import GRACE_SECONDS, check_codes, check_killed, find_ending, find_port
from mixlab.training.launching.steps import Step
from mixlab.training.models.weights import NewModel
from mixlab.training.watching.metrics import read_facts

_ATTEMPT = "ranks-"


def train_on_mixture(
    settings: TrainSettings,
    validation: ValidationSettings | None,
    seed: int,
    start: NewModel | Path,
    inputs: Inputs,
    out: Path,
) -> Mapping[str, str]:
    """Train `start` on the mixture of a node as the machine's settings say; return facts of the run."""
    if settings.trainer is not None:
        # exports, configuration and tokenizers, which our own trainer has no use for
        from mixlab.stages.external import train_outside

        return train_outside(settings, settings.trainer, seed, start, inputs, out)
    launch = decide_launch(inputs)
    job = RankJob(
        settings=settings,
        seed=seed,
        start=start.resolve() if isinstance(start, Path) else start,
        mixture=inputs.one("mixture").resolve(),
        packs=_resolve(inputs, "packs"),
        stores=_resolve(inputs, "stores"),
        out=out.resolve(),
        resume=inputs.resume.resolve(),
        micro_batch=inputs.machine.micro_batch_windows,
        threads=max(1, inputs.threads // launch.processes_per_node),
        save_every_seconds=inputs.machine.checkpoint_seconds,
        kernels=inputs.machine.kernels,
        launch=launch,
        overlay=read_overlay(Path(launch.deepspeed_config)) if launch.deepspeed_config else {},
        metrics=inputs.metrics.resolve() if inputs.metrics is not None else None,
        name=f"{inputs.node.stage}/{inputs.node.key}",
        label=inputs.node.label,
        tracking=inputs.machine.tracking,
        validation=validation,
        validation_packs=_resolve(inputs, "validation") if validation is not None else (),
        validation_stores=_resolve(inputs, "validation_stores") if validation is not None else (),
    )
    if launch.ranks == 1 and not launch.shards:
        job.run(ALONE)
    else:
        run_job(job)
    seen = read_facts(job.watching.metrics) if job.watching.metrics is not None else {}
    device = choose_kind(launch)
    return {"device": device, "parallelism": launch.parallelism, "ranks": str(launch.ranks), **seen}


def _resolve(inputs: Inputs, role: str) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in inputs.all(role))


def decide_launch(inputs: Inputs) -> LaunchSettings:
    """The stage's launch settings; who asks for GPUs wants them used, and started ranks are not started again."""
    resources = inputs.machine.resources(inputs.node.stage)
    launch, stage = resources.launch, inputs.node.stage
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DataError(
            f"{stage}: was itself started {os.environ['WORLD_SIZE']} times, by torchrun or accelerate; start it once "
            f"and set machine.stages.{stage}.launch: it starts its own processes"
        )
    if resources.gpus and launch.device != "cpu":
        if launch.processes_per_node > resources.gpus:
            raise DataError(
                f"machine.stages.{stage}.launch.processes_per_node: {launch.processes_per_node} processes on "
                f"{resources.gpus} GPUs; each needs its own"
            )
        return launch.model_copy(update={"device": "cuda"})
    return launch


def run_job(job: RankJob) -> None:
    """Start the ranks, wait for them, and end as they did: SystemExit with their code, or the first one's error."""
    for left in job.resume.glob(f"{_ATTEMPT}*"):
        shutil.rmtree(left)
    attempt = Path(tempfile.mkdtemp(prefix=_ATTEMPT, dir=job.resume))
    path = job.write(attempt)
    is_one = job.launch.nodes == 1
    codes = run_node(path, job, 0, "127.0.0.1", find_port()) if is_one else _run_nodes(path, job)
    failure = find_first_failure(attempt)
    if failure is None or not failure.has_cause:
        check_killed(codes)
    if failure is not None:
        raise_failure(failure)
    if ending := find_ending(codes):
        raise SystemExit(ending)
    check_codes(codes)
    if not (attempt / CODE_FILE).is_file():  # the first rank's last word
        raise explain_cut_off(find_newest_step(job.resume), time.time())
    take_over_code(json.loads((attempt / CODE_FILE).read_text(encoding="utf-8")))
    shutil.rmtree(attempt)


def _run_nodes(path: Path, job: RankJob) -> list[int]:
    if shutil.which("srun") is None or "SLURM_JOB_ID" not in os.environ:
        raise DataError(
            f"launch: {job.launch.nodes} nodes are started by srun within a job of Slurm, and this is none; run "
            "snakemake with --profile slurm, or set launch.nodes: 1"
        )
    # the nodes' own deadlines are first: they kill their ranks and leave word of it. srun alone would wait for ever for
    # a node that lost its processes and is back before Slurm has missed it
    step = Step(job.launch.stop_seconds + GRACE_SECONDS, lambda: has_failed(path.parent), 3 * GRACE_SECONDS)
    command = [sys.executable, "-P", "-m", "mixlab.stages.node", str(path)]
    return [step.run_step(job.launch.nodes, command, os.environ)]
