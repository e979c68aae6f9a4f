"""What to do when a device's memory does not suffice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mixlab.config.problems import DataError


@contextmanager
def explain_exhaustion(micro_batch: int) -> Iterator[None]:
    """Turn torch's error for exhausted memory into a DataError that names the settings that help."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _explain(str(error), micro_batch) from error
    except RuntimeError as error:
        # The CPU's allocator raises this plain class.
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise _explain(str(error), micro_batch) from error


def _explain(said: str, micro_batch: int) -> DataError:
    first = said.strip().splitlines()[0] if said.strip() else "out of memory"
    return DataError(
        f"training: out of memory ({first}); lower machine.micro_batch_windows ({micro_batch} now), turn on activation "
        "checkpointing, or share the state: stages.STAGE.launch.parallelism zero1, zero2 or zero3 on more processes, "
        "then launch.offload optimizer"
    )
