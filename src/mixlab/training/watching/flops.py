"""What a device could do at most, for MFU.

MFU (model FLOPs utilisation, Chowdhery et al. 2022, PaLM, appendix B) = FLOPs of the model (config/model_flops.py) /
(seconds x devices x peak FLOP/s of a device). What is computed again (activation checkpointing) counts once.
"""

import re

from mixlab.config.pricing import GPUS, Dtype

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


def find_peak_flops(device: str, dtype: Dtype = "bfloat16") -> float | None:
    """Dense peak of a GPU by its name, None for one that is not known."""
    known = next((name for pattern, name in _NAMES if re.search(pattern, device)), None)
    if known is None:
        return None
    return GPUS[known].bfloat16 if dtype == "bfloat16" else GPUS[known].float32
