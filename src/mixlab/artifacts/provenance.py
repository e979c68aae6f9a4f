"""Who made an artifact, where, when and with what; beside the artifact, never in its key or its digest."""

import importlib.metadata
import json
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mixlab.artifacts.code import list_code, write_code
from mixlab.artifacts.elapsed import Elapsed
from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.artifacts.manifest import Manifest
from mixlab.artifacts.store import Store, write_json

PACKAGES = ("mixlab", "numpy", "safetensors", "tokenizers", "torch", "transformers")

ADOPTED = "adopted"
"""The fact that marks an artifact which was not made from its spec here but adopted; its value is the reason."""


def read_commit(root: Path) -> str:
    """Return the git commit of the working folder, with `+changes` when files differ from it, or an empty string."""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _list_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def write_provenance(
    store: Store,
    manifest: Manifest,
    label: str,
    seconds: float,
    reproducible: str,
    machine: dict[str, Any],
    facts: Mapping[str, str] | None = None,
    process: Mapping[str, str | float] | None = None,
    commit: str | None = None,
    earlier: Sequence[Elapsed] = (),
) -> Path:
    """Write `provenance/<stage>/<key>/<own-digest>.json` and return its path.

    `machine` says what this run used of the machine (threads, batches); never a secret or an environment.
    `facts`: what the stage itself says of this run and no byte depends on, such as what kept tested code apart.
    `process`: who made it, as `describe_process` says; of those that one process makes, the first has its start.
    `commit`: what `read_commit` said as the process began; None: what it says now.
    `earlier`: what attempts before it took that left no artifact; `seconds` are of the last alone.
    """
    record = {
        "stage": manifest.stage,
        "key": manifest.key,
        "digest": manifest.digest,
        "label": label,
        "commit": read_commit(store.root) if commit is None else commit,
        "code_digest": write_code(store, list_code()),
        "versions": _list_versions(),
        "host": socket.gethostname(),
        "platform": platform.machine(),
        "machine": machine,
        **({"facts": dict(facts)} if facts else {}),
        **({"process": dict(process)} if process else {}),
        "seconds": round(seconds, 3),
        **({"earlier": [asdict(one) for one in earlier]} if earlier else {}),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "reproducible": reproducible,
    }
    name = build_digest(canonical_json(record).encode())[:16]
    path = store.root / "provenance" / manifest.stage / manifest.key / f"{name}.json"
    write_json(path, record)
    return path


def read_provenance(store: Store, stage: str, key: str) -> list[dict[str, Any]]:
    """Read the records of every time an artifact was made, oldest first; an unreadable one says so in `error`."""
    records = []
    for path in sorted((store.root / "provenance" / stage / key).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(record, dict):
                raise ValueError("no JSON object")
        except ValueError as error:
            record = {"error": f"{path.name}: {error}"}
        records.append(record)
    return sorted(records, key=lambda record: str(record.get("finished", "")))
