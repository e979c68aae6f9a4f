"""What a device could do at most, for MFU.

MFU (model FLOPs utilisation, Chowdhery et al. 2022, PaLM, appendix B) = FLOPs of the model (config/model_flops.py) /
(seconds x devices x peak FLOP/s of a device). What is computed again (activation checkpointing) counts once.
"""

import re

# Dense bfloat16 FLOP/s with float32 accumulation, by the name that torch.cuda.get_device_name gives. NVIDIA's data
# sheets print twice as much where they count 2:4 sparsity: A100 (June 2021), H100 and H100 NVL, H200, L4, L40S, HGX
# B200.
_PEAKS: tuple[tuple[str, float], ...] = (
    (r"\bA100\b", 312e12),
    (r"\bH100 PCIe\b", 756e12),
    (r"\bH100 NVL\b", 835.5e12),
    (r"\bH100 80GB HBM3\b", 989.4e12),
    (r"\bH200 NVL\b", 835.5e12),
    (r"\bH200$", 989.4e12),
    (r"\bL4$", 121e12),
    (r"\bL40S\b", 362.05e12),
    (r"\bB200$", 2250e12),
)


def find_peak_flops(device: str) -> float | None:
    """Dense bfloat16 peak of a GPU by its name, None for one that is not in the table."""
    return next((peak for pattern, peak in _PEAKS if re.search(pattern, device)), None)
