"""What is tracked but lost: pointers whose data no cache and no remote has, to be made again.

The list lives in `work/recompute.json` (git-ignored): it says something about this machine today, not about the study.
"""

import json
from collections.abc import Iterable

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.store import Store, write_json

RECOMPUTE = "recompute.json"


def read_recompute(store: Store) -> frozenset[tuple[str, str]]:
    """Read which tracked artifacts count as undone; raises ArtifactError when the list cannot be read."""
    path = store.work / RECOMPUTE
    try:
        return frozenset((stage, key) for stage, key in json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return frozenset()
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: damaged ({error}); remove it") from None


def write_recompute(store: Store, names: Iterable[tuple[str, str]]) -> None:
    """Replace the list; an empty one leaves no file."""
    listed = sorted(set(names))
    path = store.work / RECOMPUTE
    if listed:
        write_json(path, listed)
    else:
        path.unlink(missing_ok=True)
