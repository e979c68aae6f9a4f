"""Python's search for garbage, which stops all requests while it looks through everything there is."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def keep_all() -> Iterator[None]:
    """While the context lasts, look for no garbage in what is there when it begins: a search takes a tenth of a second.

    What is made later is looked through as ever. Within another such context this one ends with the outer one.
    """
    is_outer = gc.get_freeze_count() == 0
    gc.freeze()
    try:
        yield
    finally:
        if is_outer:
            gc.unfreeze()
