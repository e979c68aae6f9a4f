"""A checkpoint that was made elsewhere becomes an artifact: looked at like a trainer's work, and marked as adopted."""

import time
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import build_digest, canonical_json, digest_file, split_reference
from mixlab.artifacts.manifest import Manifest
from mixlab.artifacts.provenance import ADOPTED, write_provenance
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.config.problems import ConfigError, DataError
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import PretrainSpec
from mixlab.plan.stages import STAGES
from mixlab.plan.trainers import training_of
from mixlab.stages.pretrain import open_start
from mixlab.training.external.checking import Expected, Found, check_models, find_shape
from mixlab.training.external.collecting import collect_files
from mixlab.training.models.shape import LlamaShape

_MODEL_ROLES = ("snapshots", "model", "base_model")
"""Nearest first: an average scaled from its base model has two of them."""


def require_free(store: Store, states: States, node: Node) -> None:
    """Raise ConfigError where an artifact has been made, tracked or discarded already, or is half made."""
    stage, key = node.name
    for there, what in (
        (states.complete, f"is here already, in {store.folder(stage, key).relative_to(store.root)}"),
        (states.tracked, f"is tracked already; fetch it by `mixlab restore {key}`"),
        (states.discarded, f"was made and discarded; see {store.tombstone(stage, key).relative_to(store.root)}"),
    ):
        if node.name in there:
            raise ConfigError(f"{stage} {key}: {what}; nothing is adopted in its place")
    resume = store.work / stage / key / "resume"
    if resume.is_dir() and any(resume.iterdir()):
        place = resume.relative_to(store.root)
        raise ConfigError(f"{stage} {key}: {place} holds states of an unfinished run; finish it, or remove that folder")


def adopt(store: Store, plan: Plan, node: Node, folder: Path, reason: str, *, link: bool) -> Manifest:
    """Look at the models in `folder` and publish copies of them, or hard links, as the artifact of a node.

    Raises DataError with everything in which they are not what the spec says.
    """
    started = time.perf_counter()
    found = check_models(folder, Expected(_find_shape(store, plan, node), _list_members(node)))
    files = {name: digest_file(folder / name)[0] for name in found.kept}
    with store.writing(*node.name) as draft:
        if draft is None:
            raise ConfigError(f"{node.stage} {node.key}: was made meanwhile; nothing is adopted in its place")
        collect_files(folder, found, draft.out, link=link)
        parents = {role: list(references) for role, references in node.parents.items()}

        def note(manifest: Manifest) -> None:
            if {file.path: file.digest for file in manifest.files} != files:
                raise DataError(f"{folder}: was changed while it was read; nothing was adopted")
            facts = {ADOPTED: reason, "adopted_files": _describe(files, found)}
            seconds = time.perf_counter() - started
            write_provenance(store, manifest, node.label, seconds, STAGES[node.stage].reproducible, {}, facts)

        return draft.publish(to_plain(node.spec), parents, note)


def _describe(files: dict[str, str], found: Found) -> str:
    """Say what was taken, without where it lay: provenance is committed, and a path is somebody's own affair."""
    digest = build_digest(canonical_json([[name, files[name]] for name in sorted(files)]).encode())
    return f"{len(files)} files, digest {digest}; {len(found.left_out)} others left out"


def _list_members(node: Node) -> tuple[str, ...]:
    training = training_of(node.spec)
    if training is None or training.snapshots is None:
        return ()
    return tuple(f"last-{number:02d}" for number in range(training.snapshots.keep))


def _find_shape(store: Store, plan: Plan, node: Node) -> LlamaShape:
    """Return the shape of the nearest model above that is here, or of the one that pretraining draws.

    Raises ArtifactError where neither is known: the base model was not read yet, or the tokenizer is not here.
    """
    while not isinstance(node.spec, PretrainSpec):
        parent = next((node.parents[role][0] for role in _MODEL_ROLES if role in node.parents), None)
        if parent is None:
            raise _say_absent(node, "shape")
        node = plan.nodes[split_reference(parent)[0]]
        if store.is_complete(*node.name):
            return find_shape(store.open(node.stage, parent))
    (key,) = node.parents["tokenizer"]
    tokenizer = plan.nodes[key]
    if not store.is_complete(*tokenizer.name):
        raise _say_absent(tokenizer, "vocabulary")
    return find_shape(open_start(node.spec, store.open(*tokenizer.name)))


def _say_absent(node: Node, what: str) -> ArtifactError:
    cure = f"run snakemake for it, or `mixlab restore {node.key}`"
    return ArtifactError(f"{node.stage} {node.key}: not here, and the {what} cannot be compared without; {cure}")
