"""What a device could do at most, for MFU.

MFU (model FLOPs utilisation, Chowdhery et al. 2022, PaLM, appendix B) = FLOPs of the model (config/model_flops.py) /
(seconds x devices x peak FLOP/s of a device). What is computed again (activation checkpointing) counts once.
"""

from mixlab.config.pricing import GPUS, Dtype, name_gpu


def find_peak_flops(device: str, dtype: Dtype = "bfloat16") -> float | None:
    """Dense peak of a GPU by its name, None for one that is not known."""
    known = name_gpu(device)
    if known is None:
        return None
    return GPUS[known].bfloat16 if dtype == "bfloat16" else GPUS[known].float32
