"""What a launch by DeepSpeed asks of the user's file and of the training, known before anything is started."""

import json
from pathlib import Path
from typing import Any

from mixlab.config.launching import LaunchSettings
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.training import TrainSettings

# Everything else would change the result, or is set by mixlab's own settings.
_FREE = ("zero_optimization", "aio", "comms_logger", "flops_profiler", "wall_clock_breakdown", "memory_breakdown")
_OWN_ZERO = {
    "stage": "launch.parallelism",
    "offload_optimizer": "launch.offload",
    "offload_param": "launch.offload",
    "cpu_offload": "launch.offload",
}


def read_overlay(path: Path) -> dict[str, Any]:
    """Read the user's DeepSpeed settings; raises ConfigError for what is no JSON, or not to be set there."""
    try:
        overlay = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(Problem(f"no readable JSON ({error})", file=str(path))) from None
    if not isinstance(overlay, dict) or not isinstance(overlay.get("zero_optimization", {}), dict):
        raise ConfigError(Problem("is no mapping of DeepSpeed's settings", file=str(path)))
    problems = [
        Problem(
            f"is not to be set here{did_you_mean(key, _FREE)}; allowed are {', '.join(_FREE)}, the rest follows from "
            "the study and from machine settings",
            file=str(path),
            key=key,
        )
        for key in overlay
        if key not in _FREE
    ]
    problems += [
        Problem(f"is set by {_OWN_ZERO[key]} of the machine settings", file=str(path), key=f"zero_optimization.{key}")
        for key in overlay.get("zero_optimization", {})
        if key in _OWN_ZERO
    ]
    if problems:
        raise ConfigError(problems)
    return overlay


def find_conflicts(settings: TrainSettings, launch: LaunchSettings) -> list[str]:
    """Say what of a training cannot be computed by ranks that share its state."""
    if not launch.shards:
        return []
    problems = []
    if settings.spikes is not None and settings.spikes.action == "rollback":
        problems.append(
            f"spikes: action rollback cannot go back under {launch.parallelism}, whose state is the process's; "
            "set launch.parallelism: ddp, or action: warn"
        )
    if settings.optimizer.name != "adamw":
        problems.append(
            f"optimizer: {settings.optimizer.name} needs whole matrices, which {launch.parallelism} spreads over "
            "the ranks; set launch.parallelism: ddp, or optimizer: {name: adamw, ...}"
        )
    return problems
