"""What commands about data share: the names a study's report gives to artifacts, and those that are here."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mixlab.artifacts.store import Store
from mixlab.config.report_data import DataShown, ShownMixture
from mixlab.plan.graph import Plan
from mixlab.plan.specs import ReportSpec


def read_shown(plan: Plan) -> dict[str, DataShown]:
    """Return what each study of a plan says of its data."""
    found = {}
    for study, keys in plan.targets.items():
        for key in keys:
            spec = plan.nodes[key].spec
            if isinstance(spec, ReportSpec):
                found[study] = spec.report.data or DataShown()
    return found


def open_folders(store: Store, plan: Plan, keys: Iterable[str]) -> dict[str, Path]:
    """Open and verify what of `keys` is here, by key; raises ArtifactError for what is damaged."""
    nodes = (plan.nodes[key] for key in dict.fromkeys(keys))
    return {node.key: store.open(*node.name) for node in nodes if store.is_complete(*node.name)}


def list_mixtures(studies: Mapping[str, DataShown]) -> Iterator[tuple[str, ShownMixture]]:
    """Yield the mixtures with the study each belongs to."""
    for study, shown in studies.items():
        for mixture in shown.mixtures:
            yield study, mixture


def list_keys(shown: DataShown, mixture: ShownMixture) -> list[str]:
    """List the keys of a mixture, and of its sources with their checks and filters."""
    sources = [shown.source(name) for name in mixture.sources]
    checks = [source.contamination for source in sources if source.contamination]
    roots = [source.source for source in sources if source.source]
    labels = [source.labels for source in sources if source.labels]
    return [mixture.key, *roots, *checks, *labels, *(one.key for source in sources for one in source.filters)]
