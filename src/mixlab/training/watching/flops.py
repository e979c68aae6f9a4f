"""What a step of training costs by formula, and what a device could do at most: together they give MFU.

MFU (model FLOPs utilisation, Chowdhery et al. 2022, PaLM, appendix B) = FLOPs of the model / (seconds x devices x
peak FLOP/s of a device). What is computed again (activation checkpointing) counts once.
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


def step_flops(
    parameters_without_embedding_lookup: int, layers: int, attention_width: int, tokens: int, squared_tokens: int
) -> int:
    """FLOPs of forward and backward over `tokens`: 6 N tokens + 6 layers width squared_tokens.

    N are the weights that multiply (a table that is only looked up does not, a tied one does as the head);
    `attention_width` is heads x width of a head. A document of T tokens costs attention 12 layers width T^2 (Chowdhery
    et al. 2022), of which a causal one needs half; `squared_tokens` is the sum of T^2.
    """
    dense = 6 * parameters_without_embedding_lookup * tokens
    return dense + 6 * layers * attention_width * squared_tokens


def find_peak_flops(device: str) -> float | None:
    """Dense bfloat16 peak of a GPU by its name, None for one that is not in the table."""
    return next((peak for pattern, peak in _PEAKS if re.search(pattern, device)), None)
