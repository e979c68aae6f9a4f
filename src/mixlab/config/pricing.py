"""What a training run is priced by on this machine: a device's peak, how much of it is used, what an hour costs."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from mixlab.config.base import Settings
from mixlab.config.problems import ConfigError, did_you_mean

Mfu = Annotated[float, Field(gt=0, le=1)]
Dtype = Literal["bfloat16", "float32"]


class GpuSettings(Settings):
    """The peak of a device: dense matrix products, without sparsity, in operations per second."""

    bfloat16: float = Field(gt=0, description="in bfloat16 (tensor cores), FLOP/s")
    float32: float = Field(gt=0, description="in float32, not TF32, FLOP/s")
    source: str = Field(min_length=1, description="where the figures are from")


def _nvidia(bfloat16_tera: float, float32_tera: float, sheet: str) -> GpuSettings:
    source = f"NVIDIA {sheet}; dense: half of what it prints for sparse matrices"
    return GpuSettings(bfloat16=bfloat16_tera * 1e12, float32=float32_tera * 1e12, source=source)


GPUS: Mapping[str, GpuSettings] = {
    "h100": _nvidia(989.5, 67, "H100 Tensor Core GPU data sheet, SXM"),
    "h100-pcie": _nvidia(756.5, 51, "H100 Tensor Core GPU data sheet, PCIe"),
    "h100-nvl": _nvidia(835.5, 60, "H100 Tensor Core GPU data sheet, NVL"),
    "h200": _nvidia(989.5, 67, "H200 Tensor Core GPU data sheet, SXM"),
    "h200-nvl": _nvidia(835.5, 60, "H200 Tensor Core GPU data sheet, NVL"),
    "a100": _nvidia(312, 19.5, "A100 Tensor Core GPU data sheet"),
    "l4": _nvidia(121, 30.3, "L4 data sheet"),
    "l40s": _nvidia(362.05, 91.6, "L40S data sheet"),
}
"""Devices that need not be declared."""

_NAMES: tuple[tuple[str, str], ...] = (
    (r"\bA100\b", "a100"),
    (r"\bH100 PCIe\b", "h100-pcie"),
    (r"\bH100 NVL\b", "h100-nvl"),
    (r"\bH100 80GB HBM3\b", "h100"),
    (r"\bH200 NVL\b", "h200-nvl"),
    (r"\bH200$", "h200"),
    (r"\bL4$", "l4"),
    (r"\bL40S\b", "l40s"),
)
"""Names as torch.cuda.get_device_name gives them, and what machine.pricing calls the device."""


def name_gpu(device: str) -> str | None:
    """Return what a GPU is called here by torch's name of it; None for one that needs to be declared."""
    return next((name for pattern, name in _NAMES if re.search(pattern, device)), None)


def is_gpu(device: str, gpu: str) -> bool:
    """Whether torch's name of a device may be that of `gpu`; one that nothing here knows is that of a declared one."""
    if device in ("", "cpu", "cuda"):  # its kind was not noted
        return False
    known = name_gpu(device)
    return gpu not in GPUS if known is None else known == gpu


class PricingSettings(Settings):
    """`machine.pricing`: what `mixlab price` assumes where it has not measured."""

    gpus: dict[str, GpuSettings] = Field(default_factory=dict, description="further devices, or others' figures")
    gpu: str = Field(default="h100", min_length=1, description="name of a device: one of `gpus`, or one known by name")
    mfu: Mfu = Field(
        default=0.4, description="share of the peak that training is assumed to use (model FLOPs, causal attention)"
    )
    price_per_gpu_hour: float | None = Field(default=None, gt=0, description="what one GPU costs an hour; absent: none")
    currency: str = Field(default="USD", min_length=1, max_length=8, description="of price_per_gpu_hour")

    @field_validator("gpu")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        declared = info.data.get("gpus")  # absent where a device is declared wrongly: told there
        if declared is not None and name not in {**GPUS, **declared}:
            raise ValueError(_unknown(name, {**GPUS, **declared}))
        return name

    def known_gpus(self) -> dict[str, GpuSettings]:
        """Every device by name; those declared here come before those known by name."""
        return {**GPUS, **self.gpus}

    def choose(self, gpu: str | None) -> tuple[str, GpuSettings]:
        """Return the device asked for, or else the one of the settings; raises ConfigError for an unknown one."""
        name, known = gpu or self.gpu, self.known_gpus()
        if name not in known:
            raise ConfigError(_unknown(name, known))
        return name, known[name]


def _unknown(name: str, known: Mapping[str, GpuSettings]) -> str:
    cure = "or declare it under machine.pricing.gpus"
    return f"no GPU is named '{name}'{did_you_mean(name, known)}; known: {', '.join(known)}; choose one, {cure}"
