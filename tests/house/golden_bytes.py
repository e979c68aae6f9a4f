"""Golden bytes: what each stage that is reproducible to the byte makes of a fixed tiny input (golden_bytes_cases.py).

To pin what was changed on purpose: `python tests/house/golden_bytes.py --write`. It refuses an output that changed
while the stage's `version` did not: finished artifacts would be taken for what the new code makes.
"""

import importlib
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.artifacts.manifest import list_files
from mixlab.config.machine import MachineSettings
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import Spec
from mixlab.plan.stages import STAGE_OF_SPEC, STAGES
from mixlab.stages.job import Inputs, Session

GOLDEN = Path(__file__).with_name("golden_bytes.json")
REFRESH = "python tests/house/golden_bytes.py --write"


@dataclass(frozen=True)
class Pin:
    """One run of a host: every `version` in its spec, the digest of all else it was given, and of all it made."""

    versions: str
    given: str
    made: str


class Bench:
    """A bench on which one host is run: hand-made artifacts around it, none of them made by another stage's code.

    Keys are counted, so that neither a raised version nor a changed spec of another stage reaches the output.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = Plan()
        self.files: dict[str, str] = {}

    def put(self, spec: Spec, files: Mapping[str, Any], label: str = "", **parents: Sequence[str]) -> str:
        """Put an artifact there, its files written out by `write_file`; return its key."""
        key = self._add(spec, label, parents).key
        for name, content in files.items():
            write_file(self.folder / "given" / key / name, content)
        return key

    def put_source_file(self, name: str, data: bytes) -> str:
        """Put a file there that a source may name; return its digest."""
        write_file(self.folder / "given" / name, data)
        digest = build_digest(data)
        self.files[digest] = str(self.folder / "given" / name)
        return digest

    def run(self, spec: Spec, label: str = "", **parents: Sequence[str]) -> Pin:
        """Run the host of a spec on what was put there."""
        node = self._add(spec, label, parents)
        nodes = {role: [self.plan.nodes[key] for key in keys] for role, keys in parents.items()}
        resume, out = self.folder / "resume", self.folder / "out"
        for folder in (resume, out):
            folder.mkdir(parents=True)
        inputs = Inputs(
            plan=self.plan,
            node=node,
            folders={role: tuple(self.folder / "given" / one.key for one in some) for role, some in nodes.items()},
            specs={role: tuple(one.spec for one in some) for role, some in nodes.items()},
            resume=resume,
            files=self.files,
            machine=MachineSettings(),
            threads=1,
            session=Session(),
        )
        importlib.import_module(f"mixlab.stages.{node.stage}").run(spec, inputs, out)
        cards = [[card.stage, without_versions(to_plain(card.spec)), card.parents] for card in self.plan.nodes.values()]
        given = canonical_json([cards, describe_folder(self.folder / "given")])
        made = canonical_json(describe_folder(out))
        return Pin(" ".join(list_versions(to_plain(spec))), build_digest(given.encode()), build_digest(made.encode()))

    def _add(self, spec: Spec, label: str, parents: Mapping[str, Sequence[str]]) -> Node:
        key = f"{len(self.plan.nodes) + 1:016x}"
        roles = {role: tuple(keys) for role, keys in parents.items()}
        node = Node(STAGE_OF_SPEC[type(spec)], key, spec, roles, {}, key, [label] if label else [])
        self.plan.nodes[key] = node
        return node


def write_file(path: Path, content: Any) -> None:
    """Write content as the file's name says: records, JSON, numbers, weights, a table, bytes, or text.

    Numbers that are no array yet have 64 bits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        array = content if isinstance(content, np.ndarray) else np.array(content, dtype="<i8")
        np.save(path, array, allow_pickle=False)
    elif path.suffix == ".safetensors":
        save_file(content, path, metadata={"format": "pt"})
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content["rows"], schema=content["schema"]), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in content), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text(content, encoding="utf-8")


def describe_folder(folder: Path) -> list[list[str]]:
    """List the files below a folder with their digests, sorted."""
    return [[path.relative_to(folder).as_posix(), build_digest(path.read_bytes())] for path in list_files(folder)]


def list_versions(plain: Any, place: str = "") -> Iterator[str]:
    """Yield each `version` in a spec, that of a scorer or generator in it too, as `scoring.version=1`."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for name, value in items:
        if name == "version":
            yield f"{place}version={value}"
        yield from list_versions(value, f"{place}{name}.")


def without_versions(plain: Any) -> Any:
    """Return a spec's JSON values without any `version`."""
    if isinstance(plain, dict):
        return {name: without_versions(value) for name, value in plain.items() if name != "version"}
    return [without_versions(value) for value in plain] if isinstance(plain, list) else plain


def read_golden() -> dict[str, Pin]:
    """Read the pinned digests by name of case."""
    return {name: Pin(**card) for name, card in json.loads(GOLDEN.read_text(encoding="utf-8")).items()}


def is_drift(pinned: Pin | None, current: Pin) -> bool:
    """Whether the output changed although neither a version nor the case's own input did."""
    return (
        pinned is not None
        and pinned != current
        and (pinned.versions, pinned.given)
        == (
            current.versions,
            current.given,
        )
    )


def find_fault(name: str, pinned: Pin | None, current: Pin) -> str:
    """Say what is wrong with a case and what to do; nothing when it is as pinned."""
    if pinned == current:
        return ""
    if is_drift(pinned, current):
        spec = STAGES[name.partition(":")[0]].spec.__name__
        return (
            f"{name}: the output changed and the version did not ({current.versions}), so finished artifacts would be "
            f"taken for what the code makes now. Raise `version` of {spec} in plan/specs.py, which recomputes that "
            f"stage and all below, or undo the change; then `{REFRESH}`"
        )
    what = "not pinned" if pinned is None else "its input or a version changed"
    return f"{name}: {what}; if that is meant, pin it: `{REFRESH}`"


def write_golden(current: Mapping[str, Pin], names: Iterable[str]) -> list[str]:
    """Pin the cases named, except where the output drifted or nothing could be made here; return what was refused."""
    pinned = read_golden() if GOLDEN.exists() else {}
    drifted = {name for name, pin in current.items() if is_drift(pinned.get(name), pin)}
    pins = {**pinned, **{name: pin for name, pin in current.items() if name not in drifted}}
    cards = {name: asdict(pins[name]) for name in sorted(names)}
    GOLDEN.write_text(json.dumps(cards, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [find_fault(name, pinned[name], current[name]) for name in sorted(drifted)]


def main() -> None:
    """Show what differs from what is pinned, or pin it with --write."""
    from golden_bytes_cases import CASES, is_possible

    pinned = read_golden() if GOLDEN.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        possible = {name: case for name, case in CASES.items() if is_possible(name)}
        current = {name: case(Bench(Path(folder, str(at)))) for at, (name, case) in enumerate(possible.items())}
    faults = [fault for name, pin in current.items() if (fault := find_fault(name, pinned.get(name), pin))]
    if "--write" in sys.argv[1:]:
        faults = write_golden(current, CASES)
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
