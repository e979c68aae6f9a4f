"""How this machine watches its training runs: it decides no byte of a result and enters no key."""

from typing import Literal

from pydantic import Field

from mixlab.config.base import Settings


class WandbSettings(Settings):
    """Weights & Biases; needs `pip install 'mixlab[wandb]'`. Its key comes from `wandb login`, never from here."""

    project: str = Field(default="mixlab", min_length=1, description="project the runs belong to")
    entity: str | None = Field(default=None, min_length=1, description="team or user; absent: the one of the login")
    mode: Literal["offline", "online"] = Field(
        default="offline",
        description="offline: kept under metrics/wandb until `wandb sync`; online: sent as the run goes on",
    )


class TrackingSettings(Settings):
    """Where the measures of training go beside metrics/<stage>/<key>.jsonl, which is always written."""

    tensorboard: bool = Field(
        default=False, description="event files in metrics/tensorboard; needs `pip install 'mixlab[tensorboard]'`"
    )
    wandb: WandbSettings | None = Field(default=None, description="Weights & Biases; absent: not used")
    peak_flops: float | None = Field(
        default=None,
        gt=0,
        description="what MFU is a share of: FLOP/s of one device; absent: the dense bfloat16 peak of a known GPU, "
        "and no MFU on another device",
    )
    log_seconds: float = Field(
        default=60.0, gt=0, description="seconds between two lines of training in a log; a terminal shows a bar"
    )
