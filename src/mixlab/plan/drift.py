"""Drift: artifacts whose stage's code changed and whose version did not, and what was made under unlike conditions.

A key says what was to be done, not by which code, libraries or device it was done. That stands in provenance.
"""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mixlab.artifacts.code import PACKAGE, Code, CodeHistory, read_code
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.provenance import ADOPTED, read_provenance
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.plan.formulas import FOLDER, find_changed, find_users, name_module, spread_changes
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

FACTS = ("engine", "device", "parallelism", "ranks", "sandbox")
"""What hosts say of a run that numbers may depend on."""

SHARED_ROOMS = ("artifacts", "config", "plan", "stages")
"""Rooms that hold files which every stage loads; what the others hold makes bytes."""

DOOR = "mixlab.stages.doorway"
"""The module through which every artifact is made."""

NO_CODE = "its provenance names no files: it was made before mixlab kept them, or elsewhere"
NO_RECORD = "no provenance says who made it"

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Drift:
    """Artifacts of a stage that the same, other code made: which files mean something else now, and why that is known.

    `shared` are files that every stage loads (`list_shared`) but those of `config/` by whose formulas these artifacts
    were computed; `own` are all others.
    """

    stage: str
    code_digest: str
    names: tuple[Name, ...]
    commits: tuple[str, ...]
    own: Mapping[str, str]
    shared: Mapping[str, str]


@dataclass(frozen=True)
class Mixed:
    """What differs in how some artifacts were made: `values` maps each value to what was made so.

    `what` names a stage of a study, or one key that was made several times.
    """

    what: str
    stage: str
    field: str
    values: Mapping[str, tuple[Name, ...]]


@dataclass
class Findings:
    """All that was found, and what could not be looked at, by reason."""

    looked_at: int = 0
    drifts: list[Drift] = field(default_factory=list)
    remade: list[Mixed] = field(default_factory=list)
    mixed: list[Mixed] = field(default_factory=list)
    unknown: dict[str, list[Name]] = field(default_factory=dict)

    @property
    def serious(self) -> int:
        """How many findings touch code that makes bytes, or conditions that were mixed."""
        return sum(bool(one.own) for one in self.drifts) + len(self.remade) + len(self.mixed)


def find_drift(store: Store, names: Iterable[Name], studies: Mapping[str, Iterable[Name]]) -> Findings:
    """Compare the provenance of artifacts with the code that is here, with one another, and within each study."""
    found = Findings()
    records = {name: read_makings(store, name) for name in sorted(set(names))}
    found.looked_at = len(records)
    _find_changed_code(store, records, found)
    for name, several in records.items():
        found.remade += _find_mixed(f"key {name[1]}", name[0], [(name, one) for one in several], is_one_key=True)
    for study, members in studies.items():
        by_stage: dict[str, list[tuple[Name, Record]]] = {stage: [] for stage in STAGES}
        for name in sorted(set(members) & set(records)):
            if records[name]:
                by_stage[name[0]].append((name, records[name][-1]))
        for stage, made in by_stage.items():
            found.mixed += _find_mixed(f"study {study}", stage, made)
    return found


def read_makings(store: Store, name: Name) -> list[Record]:
    """Read the records that speak of the bytes that are here, oldest first; of an absent artifact, all of them.

    A numeric stage may have given other bytes at another time or place: whoever made those did not make these.
    """
    records: list[Record] = [one for one in read_provenance(store, *name) if "error" not in one]
    if len({one.get("digest") for one in records}) < 2 or not store.is_complete(*name):
        return records
    try:
        digest = read_manifest(store.folder(*name)).digest
    except ArtifactError:
        return records
    return [one for one in records if one.get("digest") == digest] or records


def has_old_version(store: Store, name: Name) -> bool:
    """Whether an artifact that is here was made by another version of its stage: its key is of the past."""
    try:
        version = read_manifest(store.folder(*name)).spec.get("version")
    except ArtifactError:
        return False
    return bool(version != STAGES[name[0]].spec.model_fields["version"].default)


def _find_changed_code(store: Store, records: Mapping[Name, Sequence[Record]], found: Findings) -> None:
    history = CodeHistory()
    groups: dict[tuple[str, str], list[tuple[Name, Record]]] = {}
    commits: dict[str, set[str]] = {}
    for name, several in records.items():
        if not several:
            found.unknown.setdefault(NO_RECORD, []).append(name)
            continue
        if ADOPTED in several[-1].get("facts", {}):
            continue
        for one in several:
            commits.setdefault(str(one.get("code_digest")), set()).add(str(one.get("commit", "")))
    changed: dict[str, dict[str, str] | None] = {}
    used: dict[str, dict[str, str]] = {}
    for digest, known in commits.items():
        code = read_code(store, digest)
        changed[digest] = None if code is None else history.list_changed(code, known)
        used[digest] = find_used_formulas(history, code or {}, changed[digest] or {}, known)
    for name, several in records.items():
        made = [one for one in several if str(one.get("code_digest")) in changed]
        told = [changed[str(one.get("code_digest"))] for one in made]
        if not made or {} in told:
            continue  # what made it at least once means the same today
        if told[-1] is None:
            found.unknown.setdefault(NO_CODE, []).append(name)
        else:
            groups.setdefault((name[0], str(made[-1].get("code_digest"))), []).append((name, made[-1]))
    for (stage, digest), makings in groups.items():
        files = changed[digest] or {}
        shared = {file: how for file, how in files.items() if file in list_shared() and file not in used[digest]}
        own = {**{file: how for file, how in files.items() if file not in shared}, **used[digest]}
        at = tuple(sorted({str(one.get("commit", "")) for _, one in makings}))
        found.drifts.append(Drift(stage, digest, tuple(name for name, _ in makings), at, own, shared))


def find_used_formulas(
    history: CodeHistory, code: Code, changed: Mapping[str, str], commits: Iterable[str]
) -> dict[str, str]:
    """Map each changed file of `config/` by whose formulas the code computed to what of it changed, and who uses it.

    Every stage loads these files, and most of what stands in them is in specs; formulas are in none. Nothing is said of
    a file whose old text git does not have.
    """
    own = set(code) - list_shared()
    used: dict[str, str] = {}
    for file in changed:
        if not file.startswith(FOLDER) or file not in list_shared():
            continue
        texts = history.find_texts(file, code[file], commits)
        names = find_changed(*texts) if texts is not None else set()
        if names and (users := find_users(own, spread_changes({name_module(file): names}))):
            used[file] = f"{', '.join(sorted(names))}, used by {_shorten(users)}"
    return used


def _shorten(files: Sequence[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


@cache
def list_shared() -> frozenset[str]:
    """List the files that every stage loads, whatever it makes: what the door of stages imports, read from its text."""
    waiting, found = [DOOR], dict[str, str]()
    while waiting:
        module = waiting.pop()
        path = _find_file(module)
        if path is None or module in found:
            continue
        found[module] = path.relative_to(PACKAGE.parent).as_posix()
        waiting.append(module.rpartition(".")[0])
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.Import):
                waiting += [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return frozenset(file for file in found.values() if file.count("/") == 1 or file.split("/")[1] in SHARED_ROOMS)


def _find_file(module: str) -> Path | None:
    if module.partition(".")[0] != PACKAGE.name:
        return None
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _find_mixed(
    what: str, stage: str, makings: Sequence[tuple[Name, Record]], is_one_key: bool = False
) -> Iterable[Mixed]:
    """Yield each condition that several makings do not share; of one key also other bytes."""
    seen: dict[str, dict[str, dict[Name, None]]] = {}
    for name, record in makings:
        told = list_conditions(record)
        if is_one_key:
            told["digest"] = str(record.get("digest", ""))[:16]
        for condition, value in told.items():
            seen.setdefault(condition, {}).setdefault(value, {})[name] = None
    for condition, values in seen.items():
        if len(values) > 1:
            yield Mixed(what, stage, condition, {value: tuple(those) for value, those in sorted(values.items())})


def list_conditions(record: Record) -> dict[str, str]:
    """What numbers may depend on beside spec and parents: libraries, kind of processor, and what the host said."""
    versions = {name: str(version) for name, version in record.get("versions", {}).items()}
    facts = {name: str(one) for name, one in record.get("facts", {}).items() if name in FACTS}
    return {**versions, "platform": str(record.get("platform", "unknown")), **facts}


def list_members(plan: Plan) -> dict[str, list[Name]]:
    """Map each study of a plan to the artifacts it is made of."""
    return {
        study: [plan.nodes[key].name for key in sorted(plan.closure(targets))]
        for study, targets in plan.targets.items()
    }
