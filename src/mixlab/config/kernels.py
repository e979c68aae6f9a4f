"""How this machine computes a model: which attention kernel, what is computed twice, what is compiled."""

from typing import Literal

from pydantic import Field

from mixlab.config.base import Settings

AttentionKernel = Literal["auto", "dense", "documents", "flash", "flex"]


class KernelSettings(Settings):
    """Kernels of training; they change speed, memory and rounding, never the result beyond it."""

    attention: AttentionKernel = Field(
        default="auto",
        description="dense: a table of who sees whom, for windows of at most some hundred tokens; documents: one call "
        "for all documents of one length; flash: flash attention over documents of any length (GPU, bfloat16); flex: "
        "torch's compiled attention by blocks (GPU); auto: the one measured fastest for device, dtype and length",
    )
    activation_checkpointing: bool = Field(
        default=False,
        description="keep the input of each layer alone and compute the layer again in the backward pass: less memory, "
        "about a third more time",
    )
    compile: bool = Field(
        default=False, description="compile the layers with torch.compile: a minute at the start, faster steps"
    )
