"""How much work each artifact of a plan is, in units that artifacts of one stage share, and which ones are alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mixlab.config.origins import FilesOrigin, GeneratorOrigin
from mixlab.plan import specs
from mixlab.plan.graph import Node, Plan
from mixlab.plan.model_resources import find_model
from mixlab.plan.price import PRICED, TrainingRun
from mixlab.plan.workload import Workloads

_DATA = ("source", "contamination", "label", "filter", "tokenizer", "tokenize_shard", "tokenize", "pack")
"""Stages that read every record of sources, or of a stretch of one."""
_ASKED = ("generate", "score", "judge", "judge_pairs")
"""Stages that go through the items of a benchmark."""


@dataclass(frozen=True)
class Amount:
    """What is alike (`kind`), and how much of it there is; None where that is not known.

    Units: operations of training; bytes or generated records of sources; items of a benchmark; snapshots of an
    average; results of a table.
    """

    kind: str
    size: float | None


@dataclass
class Amounts:
    """Measures nodes of a plan, each at most once."""

    workloads: Workloads
    runs: Mapping[str, TrainingRun]
    """Training runs by key."""
    source_bytes: Mapping[str, int]
    """Digest of a source file -> its size, from sources.lock."""
    count_items: Callable[[Node], int | None]
    """Items of a benchmark that a node of stage generate asks; None where that is not known."""
    _known: dict[str, Amount] = field(default_factory=dict)
    _roots: dict[str, dict[str, Node]] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The plan whose nodes are measured."""
        return self.workloads.plan

    def measure(self, node: Node) -> Amount:
        """Return how much work a node is."""
        if node.key not in self._known:
            self._known[node.key] = self._measure(node)
        return self._known[node.key]

    def _measure(self, node: Node) -> Amount:
        if node.stage in PRICED:
            run = self.runs.get(node.key)
            return Amount(self.plan.find_base(node).key, None if run is None or run.flops is None else run.flops)
        if node.stage in _DATA:
            return self._measure_data(node)
        if node.stage in _ASKED:
            return Amount(self._describe_asked(node), self._count_asked(node))
        if node.stage == "average":
            return Amount(self.plan.find_base(node).key, len(node.parents["snapshots"]))
        return Amount("", max(1, sum(len(one) for one in node.parents.values())))

    def _measure_data(self, node: Node) -> Amount:
        roots = self._find_roots(node).values()
        sizes = [self._size_source(root) for root in roots]
        known = [size for size in sizes if size is not None]
        share = node.spec.tokenize.of if isinstance(node.spec, specs.TokenizeShardSpec) else 1
        kinds = sorted({_origin(root) for root in roots})
        kind = f"{'+'.join(kinds)} {_describe_work(node)}".strip()
        return Amount(kind, sum(known) / share if known and len(known) == len(sizes) else None)

    def _find_roots(self, node: Node) -> dict[str, Node]:
        """The sources that a node of the data chain goes back to; a shard's or pack's tokenizer is none of them."""
        if node.key not in self._roots:
            if node.stage == "source":
                found = {node.key: node}
            else:
                roles = [role for role in node.parents if role not in ("tokenizer", "benchmarks", "against")]
                above = (self.plan.nodes[key.partition(":")[0]] for role in roles for key in node.parents[role])
                found = {key: root for one in above for key, root in self._find_roots(one).items()}
            self._roots[node.key] = found
        return self._roots[node.key]

    def _size_source(self, root: Node) -> float | None:
        origin = root.spec.source.origin if isinstance(root.spec, specs.SourceSpec) else None
        if isinstance(origin, GeneratorOrigin):
            return origin.size
        if isinstance(origin, FilesOrigin):
            sizes = [self.source_bytes.get(digest) for digest in origin.digests]
            return None if None in sizes else sum(size or 0 for size in sizes)
        return None

    def _describe_asked(self, node: Node) -> str:
        """Items, and the model that goes back to which base; of what is scored or rated, the items."""
        items = node.parents["items"][0]
        if not isinstance(node.spec, specs.GenerateSpec):
            return items
        base = find_model(self.plan, node)
        return f"{items} {'served' if base is None else base.key}"

    def _count_asked(self, node: Node) -> int | None:
        if node.stage == "generate":
            return self.count_items(node)
        answers = next(keys for role, keys in node.parents.items() if role.startswith("responses"))
        return self.count_items(self.plan.nodes[answers[0]])


def _origin(root: Node) -> str:
    return root.spec.source.origin.type if isinstance(root.spec, specs.SourceSpec) else root.stage


def _describe_work(node: Node) -> str:
    """Name which of the kinds of a stage's work it is."""
    if isinstance(node.spec, specs.FilterSpec):
        return node.spec.filter.type
    if isinstance(node.spec, specs.LabelSpec):
        return node.spec.label.engine.type
    return ""
