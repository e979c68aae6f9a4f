"""DVC's lock on a working folder: waited for as long as somebody holds it, and not in silence."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

SILENT_SECONDS = 5.0
"""So long a wait is nothing to tell of: others track or push a few artifacts."""


@contextmanager
def hold_repository(repo: Any) -> Iterator[None]:
    """Hold the lock of a DVC repository, and wait for it; who waits for long is told for what.

    With DVC's `core.hardlink_lock` the lock is a file that outlives a killed process and does not name it, so that
    nobody but the user can know whether it is held.
    """
    from dvc.repo import lock_repo

    notice = threading.Timer(SILENT_SECONDS, log.warning, (_describe_wait(repo),))
    notice.daemon = True
    notice.start()
    try:
        with lock_repo(repo):
            notice.cancel()
            yield
    finally:
        notice.cancel()


def _describe_wait(repo: Any) -> str:
    place = f"{repo.tmp_dir}/lock"
    if repo.config["core"].get("hardlink_lock"):
        return (
            f"waiting for DVC's lock {place}: with core.hardlink_lock a process that was killed leaves it behind; "
            f"where no dvc or mixlab runs in this folder, on any machine, `rm '{place}'`"
        )
    return f"waiting for DVC's lock {place}, which another dvc or mixlab at work in this folder holds"
