"""What an artifact cost: seconds of making it, as its provenance says."""

import json

from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store


def read_seconds(store: Store, name: Name) -> float | None:
    """Return the longest time that making the artifact took, in seconds, or None when nothing is known."""
    times = []
    for path in sorted((store.root / "provenance" / name[0] / name[1]).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        times.append(float(record.get("seconds", 0.0)))
    return max(times, default=None)
