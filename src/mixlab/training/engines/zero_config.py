"""DeepSpeed's configuration: ours from the settings, and the user's file for what decides speed alone."""

import json
from collections.abc import Mapping
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


def build_config(launch: LaunchSettings, settings: TrainSettings, overlay: Mapping[str, Any]) -> dict[str, Any]:
    """DeepSpeed's configuration; micro-batches are counted by our loop, so that DeepSpeed is told of one."""
    zero: dict[str, Any] = {"stage": int(launch.parallelism.removeprefix("zero"))}
    if launch.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu"}
    if launch.offload == "optimizer_and_weights":
        zero["offload_param"] = {"device": "cpu"}
    ours: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.gradient_clip or 0.0,
        "zero_allow_untested_optimizer": True,
        # torch's own fused AdamW, also on the CPU: DeepSpeed's would have to be compiled.
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31,
    }
    if settings.dtype == "bfloat16":
        ours |= {"bf16": {"enabled": True}, "data_types": {"grad_accum_dtype": "fp32"}}
    return {**overlay, **ours, "zero_optimization": {**overlay.get("zero_optimization", {}), **zero}}
