"""Kill this process when it does, for the n-th time, what KILL_AT names: `event:part of the path:n`.

Events are Python's audit events: `open` for writing, `os.rename`. Loaded only by processes that the fault tests start.
"""

import os
import signal
import sys
from urllib.parse import unquote

_EVENT, _PART, _TIMES = (unquote(part) for part in os.environ.get("KILL_AT", "::0").split(":"))
_seen = 0


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    global _seen
    if event != _EVENT or _PART not in str(arguments[0]):
        return
    if event == "open" and "w" not in str(arguments[1]) and "a" not in str(arguments[1]):
        return
    _seen += 1
    if _seen == int(_TIMES):
        os.kill(os.getpid(), signal.SIGKILL)


if _EVENT:
    sys.addaudithook(_watch)
