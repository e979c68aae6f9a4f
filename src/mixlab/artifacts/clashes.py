"""One key, other bytes: what two makings of an artifact say of themselves, and the choice of one of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mixlab.artifacts.branches import Held, read_branches, read_texts
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.history import find_past
from mixlab.artifacts.keys import split_reference
from mixlab.artifacts.manifest import Manifest, read_manifest
from mixlab.artifacts.pointers import Pointer, read_pointer, write_pointer
from mixlab.artifacts.remote import Depot, open_depot
from mixlab.artifacts.restoring import bring_artifacts, check_fetchable_pointers
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store
from mixlab.artifacts.strays import name_folder
from mixlab.artifacts.tombstones import drop_artifact, drop_tombstones

HERE = "this folder"
PROVENANCE = "provenance"
SHOWN_DIGITS = 12
_NO_CAUSE = frozenset(("digest", "earlier", "finished", "label", "seconds"))
"""Fields of a provenance record in which two makings differ without telling why."""


@dataclass(frozen=True)
class Side:
    """One making of a key: its pointer, where it is tracked, the digest of its bytes, and who made it when and how.

    `digest` is empty where neither cache nor remote has the manifest; then nobody knows which record is its own.
    """

    pointer: Pointer
    places: tuple[str, ...]
    digest: str
    records: tuple[Mapping[str, Any], ...]

    @property
    def sign(self) -> str:
        """What the side is called on the command line: the first digits of its digest."""
        return (self.digest or self.pointer.oid)[:SHOWN_DIGITS]

    def is_meant(self, word: str) -> bool:
        """Whether a word is the beginning of the side's digest, or of DVC's name of its folder."""
        return self.digest.startswith(word) or self.pointer.oid.startswith(word)


@dataclass(frozen=True)
class Clash:
    """An artifact of which there are several sets of bytes; `unclear`: provenance that may be of either.

    `parents`: the keys that it was made of, where a manifest of it can be had. `above`: those of its parents of which
    there are several sets of bytes as well, so that its own may differ whatever its stage promises.
    """

    stage: str
    key: str
    sides: tuple[Side, ...]
    unclear: tuple[Mapping[str, Any], ...] = ()
    parents: tuple[str, ...] = ()
    above: tuple[Name, ...] = ()

    @property
    def name(self) -> Name:
        """Stage and key."""
        return self.stage, self.key

    @property
    def differing(self) -> list[str]:
        """The fields of provenance, dotted, in which the latest makings of the sides differ."""
        latest = [_flatten(side.records[-1]) for side in self.sides if side.records]
        names = sorted({name for record in latest for name in record})
        return [name for name in names if len({record.get(name) for record in latest}) > 1]


def _flatten(record: Mapping[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in record.items():
        if not above and name in _NO_CAUSE:
            continue
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = json.dumps(value, sort_keys=True)
    return flat


def find_clashes(store: Store, names: Iterable[Name], least: int = 2) -> list[Clash]:
    """Find which of `names` have `least` pointers or more, here and on branches and tags; each with all its sides."""
    asked = sorted(set(names))
    held = read_branches(store.root, {key for _, key in asked}) if asked else {}
    found: Held = {}
    for name in asked:
        sides = {pointer: list(places) for pointer, places in held.get(name, {}).items()}
        if store.pointer(*name).is_file():
            sides.setdefault(read_pointer(store, name), []).insert(0, HERE)
        if len(sides) >= least:
            found[name] = sides
    return describe_clashes(store, found)


def describe_clashes(store: Store, found: Held) -> list[Clash]:
    """Read the manifests and the provenance of clashing pointers; this folder's side comes first."""
    if not found:
        return []
    with open_depot(store) as depot:
        clashes = [_describe(store, depot, name, sides) for name, sides in sorted(found.items())]
    above = _find_manifold(store, {key for clash in clashes for key in clash.parents})
    return [
        replace(clash, above=tuple(name for name in sorted(above) if name[1] in clash.parents)) for clash in clashes
    ]


def _describe(store: Store, depot: Depot, name: Name, pointers: Mapping[Pointer, Sequence[str]]) -> Clash:
    records = read_records(store, name)
    sides = []
    parents: set[str] = set()
    for pointer, places in sorted(pointers.items(), key=lambda one: (HERE not in one[1], one[0].oid)):
        manifest = depot.read_manifest(pointer)
        digest = manifest.digest if manifest is not None else ""
        own = tuple(one for one in records if digest and one.get("digest") == digest)
        sides.append(Side(pointer, tuple(places), digest, own))
        for references in manifest.parents.values() if manifest is not None else ():
            parents |= {split_reference(reference)[0] for reference in references}
    known = {side.digest for side in sides}
    unclear = () if "" not in known else tuple(one for one in records if one.get("digest") not in known)
    return Clash(*name, tuple(sides), unclear, tuple(sorted(parents)))


def _find_manifold(store: Store, keys: set[str]) -> set[Name]:
    """Find the artifacts of which branches track several sets of bytes, or provenance knows several digests."""
    held = read_branches(store.root, keys) if keys else {}
    made = {(path.parent.name, path.name) for key in keys for path in (store.root / PROVENANCE).glob(f"*/{key}")}
    several = {name for name, pointers in held.items() if len(pointers) > 1}
    digests = {name: {one.get("digest") for one in read_records(store, name)} for name in {*held, *made} - several}
    return several | {name for name, found in digests.items() if len(found) > 1}


def read_records(store: Store, name: Name) -> list[Mapping[str, Any]]:
    """Read the provenance of an artifact in this folder and on every branch, oldest first; unreadable ones left out."""
    place = f"{PROVENANCE}/{name[0]}/{name[1]}"
    texts = read_texts(store.root, place)
    texts |= {path.name: path.read_text(encoding="utf-8") for path in (store.root / place).glob("*.json")}
    records = []
    for text in texts.values():
        try:
            records.append(json.loads(text))
        except ValueError:
            continue
    return sorted(records, key=lambda one: str(one.get("finished", "")))


def choose_side(clash: Clash, word: str) -> Side:
    """Choose the side whose digest begins with `word`; raises ArtifactError when none or several do."""
    meant = [side for side in clash.sides if side.is_meant(word)]
    if len(meant) != 1:
        known = ", ".join(side.sign for side in clash.sides)
        many = "may be either of" if meant else "is none of"
        raise ArtifactError(f"{clash.stage} {clash.key}: '{word}' {many} {known}")
    return meant[0]


def keep_side(store: Store, clash: Clash, side: Side) -> bool:
    """Let one side be the artifact here: its pointer is written, and other bytes in its place replaced by its own.

    Returns whether bytes were replaced. The data is asked for before anything changes; raises ArtifactError when it
    cannot be had, or when the bytes to be replaced are tracked nowhere and so their only copy.
    """
    swapped = store.is_complete(*clash.name) and not _is_same(read_manifest(store.folder(*clash.name)), side)
    if swapped:
        _refuse_loss(store, clash)
        check_fetchable_pointers(store, [side.pointer])
        drop_artifact(store, clash.name)
    write_pointer(store, side.pointer)
    drop_tombstones(store, [clash.name])
    if swapped:
        bring_artifacts(store, [side.pointer])
    return swapped


def _is_same(manifest: Manifest, side: Side) -> bool:
    return bool(side.digest) and manifest.digest == side.digest


def _was_tracked(store: Store, clash: Clash) -> bool:
    """Whether the bytes here were tracked by a commit of the past, as those are that a merge decided against."""
    past = {pointer.oid for pointer in find_past(store.root, clash.key) if pointer.name == clash.name}
    return bool(past) and name_folder(store.folder(*clash.name)) in past


def _refuse_loss(store: Store, clash: Clash) -> None:
    digest = read_manifest(store.folder(*clash.name)).digest
    known = digest in {side.digest for side in clash.sides}
    if not known and not _was_tracked(store, clash):
        raise ArtifactError(
            f"{clash.stage} {clash.key}: the bytes here ({digest[:SHOWN_DIGITS]}) are tracked nowhere; move "
            f"artifacts/{clash.stage}/{clash.key} away, then run this again"
        )
