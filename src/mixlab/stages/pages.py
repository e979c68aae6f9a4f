"""What the page of a study is made from, gathered from a plan and the working folder: for `mixlab page`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.artifacts.dropping import find_digest
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import digest_file
from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.artifacts.tombstones import read_tombstone
from mixlab.config.machine import MachineSettings
from mixlab.plan.graph import Node, Plan, drop_study
from mixlab.plan.lineage import find_ancestors
from mixlab.plan.specs import ReportSpec
from mixlab.report.site.answers import Place
from mixlab.report.site.lineage import Held
from mixlab.report.site.site import SiteInputs
from mixlab.report.site.training import TrainedRun
from mixlab.report.tables import Section
from mixlab.stages.aggregate import describe_ancestor
from mixlab.stages.job import Inputs, Session
from mixlab.stages.page_answers import gather_answers
from mixlab.stages.report import find_cautions

LOG = "training_log.csv"
TRAINED = ("pretrain", "ipt", "sft")


@dataclass(frozen=True)
class Shelf:
    """A study's plan beside what is in the working folder; `files`: digest of a source file -> its path here."""

    store: Store
    states: States
    plan: Plan
    study: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def report(self) -> Node:
        """The node of the study's report."""
        return next(node for key in self.plan.targets[self.study] if (node := self.plan.nodes[key]).stage == "report")

    @property
    def aggregate(self) -> Node:
        """The node of the study's aggregate."""
        return self.plan.nodes[self.report.parents["aggregate"][0]]

    def state(self, node: Node) -> str:
        """Say where an artifact is: complete (here), tracked, discarded or absent."""
        states = self.states
        known = {"complete": states.complete, "tracked": states.tracked, "discarded": states.discarded}
        return next((name for name, names in known.items() if node.name in names), "absent")

    def explain_absence(self, node: Node) -> str:
        """Say why an artifact is not here, and what brings it here."""
        cures = {
            "tracked": f"tracked, not pulled; `mixlab restore {node.key}` brings it",
            "absent": f"not made, or not kept; `snakemake --profile local stage_{node.stage}` makes it",
        }
        state = self.state(node)
        if state == "discarded":
            return f"{node.stage} {node.key} is discarded: {read_tombstone(self.store, node.name).reason}"
        return f"{node.stage} {node.key} is {cures[state]}"

    def name_point(self, node: Node) -> str:
        """Name a model by its label without the study, whose own name may hold slashes, and without the stage."""
        return drop_study(node.label, self.plan.targets).rpartition("/")[0]

    def place(self, node: Node) -> Place:
        """Open and verify an artifact, or say why it is not here."""
        if node.name in self.states.complete:
            return Place(node.key, self.store.open(*node.name))
        return Place(node.key, None, self.explain_absence(node))

    def folders(self, keys: Iterable[str]) -> dict[str, Path]:
        """Open and verify what of `keys` is here, by key."""
        nodes = (self.plan.nodes[key] for key in dict.fromkeys(keys))
        return {node.key: self.store.open(*node.name) for node in nodes if node.name in self.states.complete}


def gather_site(
    shelf: Shelf, machine: MachineSettings, price: Callable[[], Section], progress: Callable[[], object] = lambda: None
) -> SiteInputs:
    """Gather what a finished study's page shows; `progress` is called once for each set of answers.

    `price` builds the section on cost, which reads what has been verified by then. Raises ArtifactError where the study
    has no tables here, and for what is damaged.
    """
    report, aggregate = shelf.report, shelf.aggregate
    spec = report.spec
    assert isinstance(spec, ReportSpec)
    if aggregate.name not in shelf.states.complete:
        raise ArtifactError(f"study '{shelf.study}' has no tables here yet: {shelf.explain_absence(aggregate)}")
    ancestors = find_ancestors(shelf.plan, [aggregate.key])
    answers = gather_answers(shelf, aggregate, spec.report, progress)
    beside = [key for role, keys in report.parents.items() if role != "aggregate" for key in keys]
    others = find_ancestors(shelf.plan, beside)
    return SiteInputs(
        study=shelf.study,
        settings=spec.report,
        aggregate=shelf.store.open(*aggregate.name),
        folders=shelf.folders(beside),
        held={node.key: hold(shelf, node) for node in {one.key: one for one in (*ancestors, *others)}.values()},
        beside={node.key: describe_ancestor(node) for node in others},
        answerers=answers.answerers,
        benchmarks=answers.benchmarks,
        sets=answers.sets,
        runs=[_find_run(shelf, node) for node in _order_runs(ancestors)],
        price=price(),
        cautions=find_cautions(_as_inputs(shelf, report, machine)),
        notes=answers.notes,
        targets=spec.targets,
    )


def _as_inputs(shelf: Shelf, node: Node, machine: MachineSettings) -> Inputs:
    """What the report's host is given, as far as its sentences on provenance ask for it."""

    def read_facts(one: Node) -> list[Mapping[str, str]]:
        return [record.get("facts", {}) for record in read_provenance(shelf.store, *one.name)]

    return Inputs(shelf.plan, node, {}, {}, shelf.store.work, {}, machine, 1, Session(), read_facts)


def hold(shelf: Shelf, node: Node) -> Held:
    """What this working folder knows of an artifact; its digest by its manifest, tombstone, pointer or provenance."""
    records = read_makings(shelf, node)
    state = shelf.state(node)
    if state == "complete":
        digest = read_manifest(shelf.store.folder(*node.name)).digest
    elif state == "discarded":
        digest = read_tombstone(shelf.store, node.name).digest
    else:
        digest = find_digest(shelf.store, node.name)
    return Held(node.label, state, digest, tuple(map(_describe_making, records)))


def read_makings(shelf: Shelf, node: Node) -> list[dict[str, Any]]:
    """Read the records of every time an artifact was made, oldest first; those that cannot be read tell nothing."""
    return [one for one in read_provenance(shelf.store, *node.name) if "error" not in one]


def _describe_making(record: Mapping[str, object]) -> str:
    commit, mark, _ = str(record.get("commit", "")).partition("+changes")
    commit = commit[:12] + mark
    told = f"{record.get('finished', 'at a time not noted')}, {record.get('seconds', '?')} s"
    return f"{told}, commit {commit}" if commit else told


def _order_runs(ancestors: Iterable[Node]) -> list[Node]:
    """Training runs by kind, then by label."""
    runs = (one for one in ancestors if one.stage in TRAINED)
    return sorted(runs, key=lambda one: (TRAINED.index(one.stage), one.label))


def _find_run(shelf: Shelf, node: Node) -> TrainedRun:
    """A run with its log, which is compared with the manifest; the weights beside it are not read."""
    label = shelf.name_point(node) if node.stage != "pretrain" else node.label.rpartition("/")[2]
    if node.name not in shelf.states.complete:
        return TrainedRun(node.key, node.stage, label, None, shelf.explain_absence(node))
    folder = shelf.store.folder(*node.name)
    listed = {file.path: file.digest for file in read_manifest(folder).files}
    if LOG not in listed:
        return TrainedRun(node.key, node.stage, label, None, "its trainer kept no log of losses")
    if not (folder / LOG).is_file() or digest_file(folder / LOG)[0] != listed[LOG]:
        raise ArtifactError(f"{folder / LOG}: is not what the manifest says; run `mixlab verify --repair {node.key}`")
    return TrainedRun(node.key, node.stage, label, folder / LOG)
