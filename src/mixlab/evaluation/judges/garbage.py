"""Python's search for garbage, which stops all requests while it looks through everything there is."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MADE_BETWEEN_SEARCHES = 50_000
"""Objects; a search through so many takes some milliseconds. All that is kept of a question is some ten."""


@contextmanager
def keep_all() -> Iterator[None]:
    """While the context lasts, look for no garbage in what is there when it begins: a search takes a tenth of a second.

    What is made later is looked through less often. Within another such context this one ends with the outer one.
    """
    is_outer, thresholds = gc.get_freeze_count() == 0, gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_MADE_BETWEEN_SEARCHES, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if is_outer:
            gc.unfreeze()
