"""What a step cost: speed, MFU, waiting, memory."""

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mixlab.config.pricing import Dtype
from mixlab.training.steps import StepReport
from mixlab.training.watching.flops import find_peak_flops

CountFlops = Callable[[int, int, int], int]
"""FLOPs of a step from its tokens, its squared tokens and its targets, which alone pass the output head."""

# getrusage counts in bytes there, in KiB elsewhere.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Devices:
    """What a run computes on: the name of one device, how many there are, peak FLOP/s of one where it is known."""

    name: str
    ranks: int = 1
    peak_flops: float | None = None


def find_devices(
    ranks: int = 1, peak_flops: float | None = None, dtype: Dtype = "bfloat16", *, cuda: bool = False
) -> Devices:
    """Return the devices of a run, with the peak that is given or else known for the GPU."""
    name = torch.cuda.get_device_name() if cuda else "cpu"
    return Devices(name, ranks, find_peak_flops(name, dtype) if peak_flops is None else peak_flops)


@dataclass(frozen=True, slots=True)
class Measures:
    """What one step cost; None where a device has no such thing.

    `mfu` is a share of the peak of all devices, `data_share` of the step's seconds; the memory is that of this process
    at its highest so far, main memory and GPU's.
    """

    tokens_per_second: float
    mfu: float | None
    data_share: float
    peak_rss_bytes: int
    peak_cuda_bytes: int | None


class Meter:
    """Turns reports of steps into measures; without a formula for FLOPs there is no MFU."""

    def __init__(self, devices: Devices, count_flops: CountFlops | None) -> None:
        self.devices = devices
        self._count_flops = count_flops
        known = devices.peak_flops is not None and count_flops is not None
        self._peak = (devices.peak_flops or 0.0) * devices.ranks if known else None
        self._has_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]

    def measure(self, report: StepReport) -> Measures:
        """Measure one step."""
        seconds = max(report.seconds, 1e-9)
        flops = (
            self._count_flops(report.tokens, report.squared_tokens, report.targets)
            if self._count_flops is not None
            else 0
        )
        return Measures(
            tokens_per_second=report.tokens / seconds,
            mfu=None if self._peak is None else flops / seconds / self._peak,
            data_share=report.data_seconds / seconds,
            peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT,
            peak_cuda_bytes=torch.cuda.max_memory_allocated() if self._has_cuda else None,
        )
