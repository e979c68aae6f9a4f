"""DeepSpeed's configuration: ours from the settings, over the user's file for what decides speed alone."""

from collections.abc import Mapping
from typing import Any

from mixlab.config.launching import LaunchSettings
from mixlab.config.training import TrainSettings


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
