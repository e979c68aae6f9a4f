"""Taking over the files of checked models: copies or hard links, and nothing else."""

import logging
import os
import shutil
from pathlib import Path

from mixlab.config.problems import DataError
from mixlab.training.external.checking import Found

logger = logging.getLogger(__name__)

_SHOWN = 5


def collect_files(folder: Path, found: Found, out: Path, *, link: bool) -> None:
    """Put the files of the models found in `folder` into `out`, and say which others are left out.

    `link`: hard links instead of copies. Raises DataError where a file cannot be linked.
    """
    for name in found.kept:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not link:
            shutil.copyfile(folder / name, target)
            continue
        try:
            os.link(folder / name, target)
        except OSError as error:
            raise DataError(f"{folder / name}: cannot be linked ({error.strerror}); it has to be copied") from None
    if found.left_out:
        more = f" and {len(found.left_out) - _SHOWN} more" if len(found.left_out) > _SHOWN else ""
        logger.info("left out, since no part of a model: %s%s", ", ".join(found.left_out[:_SHOWN]), more)
