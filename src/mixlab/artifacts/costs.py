"""What an artifact cost: seconds of making it, as its provenance says."""

from mixlab.artifacts.records import read_records
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store


def read_seconds(store: Store, name: Name) -> float | None:
    """Return the longest time that making the artifact took, in seconds, or None when nothing is known.

    Of one that went on after a kill it is that of all its processes.
    """
    records, _ = read_records(str(store.root), name)
    return max((record.making_seconds for record in records if not record.is_adopted), default=None)
