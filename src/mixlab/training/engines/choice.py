"""Which engine computes, and on which device, by the machine's launch settings."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from mixlab.config.deepspeed import find_conflicts
from mixlab.config.launching import LaunchSettings
from mixlab.config.problems import DataError
from mixlab.config.training import TrainSettings
from mixlab.training.engines.engine import Engine, Place
from mixlab.training.engines.plain import PlainEngine
from mixlab.training.engines.zero_config import build_config
from mixlab.training.models.interface import CausalModel
from mixlab.training.models.weights import Settle, settle_whole

if TYPE_CHECKING:
    from mixlab.training.engines.group import Group

ONE = LaunchSettings()
ALONE = Place()


def choose_kind(launch: LaunchSettings) -> str:
    """What a machine like this one computes on: cpu or cuda."""
    is_cpu = launch.device == "cpu" or (launch.device == "auto" and not torch.cuda.is_available())
    return "cpu" if is_cpu else "cuda"


def choose_device(launch: LaunchSettings, place: Place) -> torch.device:
    """The device of this rank; raises DataError where a GPU is asked for and there is none, or too few."""
    if place.ranks != launch.ranks:
        raise DataError(
            f"launch: {launch.nodes} nodes with {launch.processes_per_node} processes each make {launch.ranks} ranks, "
            f"but {place.ranks} found each other; let mixlab start them, or start as many by torchrun"
        )
    visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if choose_kind(launch) == "cpu":
        return torch.device("cpu")
    if place.local_rank >= visible:
        raise DataError(
            f"launch: {launch.processes_per_node} processes on a node need as many GPUs, but "
            f"{visible or 'no GPU'} can be seen here (torch {torch.__version__}, CUDA {torch.version.cuda}); ask for "
            "them by stages.STAGE.gpus, lower launch.processes_per_node, or set launch.device: cpu"
        )
    torch.cuda.set_device(place.local_rank)
    return torch.device("cuda", place.local_rank)


def check_launch(settings: TrainSettings, launch: LaunchSettings) -> None:
    """Raise DataError for what cannot be computed in the way asked for."""
    if not launch.shards:
        return
    if importlib.util.find_spec("deepspeed") is None:
        raise DataError(
            f"launch.parallelism: {launch.parallelism} needs DeepSpeed; install it by "
            "DS_BUILD_OPS=0 pip install 'mixlab[deepspeed]', or set parallelism: ddp"
        )
    if conflicts := find_conflicts(settings, launch):
        raise DataError("\n".join(conflicts))


@contextmanager
def join_ranks(launch: LaunchSettings, place: Place, device: torch.device) -> Iterator["Group | None"]:
    """Join the other ranks, once for all engines; None for one process that shares nothing."""
    if launch.ranks == 1 and not launch.shards:
        yield None
        return
    from mixlab.training.engines.group import join_group

    with join_group(place, device) as group:
        yield group


def build_engine(
    begin: Callable[[Settle], CausalModel],
    settings: TrainSettings,
    launch: LaunchSettings,
    place: Place,
    device: torch.device,
    overlay: Mapping[str, Any],
    group: "Group | None",
) -> tuple[CausalModel, Engine]:
    """Begin the model and build the engine of this rank; accelerate and DeepSpeed are imported for several ranks only.

    The engine says how the weights settle as they are made: whole, at once on the device that computes in float32, or
    cut among the ranks (stage 3 of ZeRO), so that none of them has a whole model.
    """
    settle: Settle = partial(settle_whole, device=device)
    if group is None:
        model = begin(settle)
        return model, PlainEngine(model, settings, device)
    # what a shell says for accelerate's own launcher decides nothing here
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
    if not launch.shards:
        from mixlab.training.engines.replicated import ReplicatedEngine

        model = begin(settle)
        return model, ReplicatedEngine(model, settings, device, place, group)
    from mixlab.training.engines.cut import Cut
    from mixlab.training.engines.zero import ZeroEngine

    cut = Cut(build_config(launch, settings, overlay), place, device) if launch.parallelism == "zero3" else None
    model = begin(cut or settle_whole)
    return model, ZeroEngine(model, settings, device, place, group, launch, overlay, cut)
