"""Let every save of a training's state take SLOW_SECONDS longer while the file SLOW_FILE is there.

A job of the tests then lasts until Slurm's signal, however fast the machine is.
"""

import os
import sys
import time
from pathlib import Path

_FILE = os.environ.get("SLOW_FILE", "")
_SECONDS = float(os.environ.get("SLOW_SECONDS", "0"))


def _wait(event: str, arguments: tuple[object, ...]) -> None:
    if event == "os.rename" and "/resume/state-" in str(arguments[1]) and Path(_FILE).exists():
        time.sleep(_SECONDS)


if _FILE:
    sys.addaudithook(_wait)
