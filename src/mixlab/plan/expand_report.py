"""Expand what a study says of its data: the tables of counts, and the names under which the report shows artifacts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mixlab.config.assumed import Assumption
from mixlab.config.counts import SFT_POOL, BalancedTable, CountedStore, CountsSettings
from mixlab.config.filters import LabelFilter
from mixlab.config.licences import find_licence_conflicts, read_licence, tiers_of
from mixlab.config.report_data import DataShown, Purpose, ShownAssumption, ShownFilter, ShownMixture, ShownSource
from mixlab.plan import specs
from mixlab.plan.expand_data import DataExpansion, UsedMixture
from mixlab.plan.graph import Node

ALLOWED, NO_POLICY = "allowed", "no policy"
_PURPOSES: tuple[Purpose, ...] = ("ipt", "sft", "pretrain")


@dataclass(frozen=True)
class _Permission:
    """What a policy says of a licence, and the tiers it puts it into."""

    said: str
    tiers: tuple[str, ...]


def expand_counts(data: DataExpansion) -> Node:
    """Add the tables of samples and tokens of every token store that a mixture of the study draws from.

    A pool of the study that is named `ipt` or `sft` says what that pool is; else it is what its mixtures draw from.
    """
    declared = _list_pools(data)
    pools: dict[tuple[str, str], set[str]] = {}
    for mixture in data.mixtures:
        for part in mixture.parts:
            drawing = pools.setdefault((part, mixture.tokenizer), set())
            drawing.update({mixture.purpose} - set(declared))
            drawing.update(name for name, members in declared.items() if part in members)
    stores = [(_count(data, part, tokenizer, drawing), part) for (part, tokenizer), drawing in pools.items()]
    stores.sort(key=lambda one: (one[0].tokenizer, one[0].source))
    settings = CountsSettings(stores=tuple(store for store, _ in stores), balanced=_choose_balanced(data))
    keys = tuple(data.store(part, store.tokenizer).key for store, part in stores)
    return data.plan.add(specs.CountsSpec(counts=settings), {"stores": keys}, data.label("counts"))


def show_data(data: DataExpansion, counts: Node | None, assumptions: Iterable[Assumption] = ()) -> DataShown:
    """Name everything that the report shows of the study's data; `DataShown.keys` are the parents this asks for.

    Adds the check for contamination of every source that a mixture draws from.
    """
    mixtures = tuple(_show_mixtures(data))
    named = sorted({name for one in mixtures for name in one.sources})
    permissions = _find_permissions(data, {name.partition("/")[0]: None for name in named})
    return DataShown(
        mixtures=mixtures,
        sources=tuple(_show_source(data, name, permissions) for name in named),
        benchmarks=_name_benchmarks(data),
        on_found=data.study.contamination.on_found,
        counts=counts.key if counts is not None else None,
        assumptions=tuple(
            ShownAssumption(address=one.address, value=one.value, reason=one.reason)
            for one in sorted(assumptions, key=lambda one: one.address)
        ),
    )


def _list_pools(data: DataExpansion) -> Mapping[str, frozenset[str]]:
    """The study's pools by name, each with the parts in it."""
    expansion = data.study.expansion()
    return {name: frozenset(expansion[name]) for name in sorted(data.study.pools)}


def _count(data: DataExpansion, part: str, tokenizer: str, drawing: Iterable[str]) -> CountedStore:
    config = data.parts[part]
    return CountedStore(
        source=part,
        kind="raw" if config.kind == "raw" else "instruction",
        language=config.language,
        category=config.category,
        tokenizer=tokenizer,
        pools=tuple(sorted(drawing)),
    )


def _choose_balanced(data: DataExpansion) -> BalancedTable | None:
    """The pool that SFT's mixture names, or else all it draws from, with the first tokenizer by name that SFT uses."""
    tokenizers = sorted({mixture.tokenizer for mixture in data.mixtures if mixture.purpose == SFT_POOL})
    if not tokenizers or data.study.sft is None:
        return None
    named = [name for name in data.study.sft.mixture.names() if name in data.study.pools]
    return BalancedTable(pool=named[0] if len(named) == 1 else SFT_POOL, tokenizer=tokenizers[0])


def _show_mixtures(data: DataExpansion) -> Iterator[ShownMixture]:
    """Each mixture once, whatever many models are trained on it: IPT first, then SFT, then pretraining, by label."""
    uses: dict[str, list[UsedMixture]] = {}
    # by label, since the order in which a study lists its variants means nothing
    for mixture in sorted(data.mixtures, key=lambda one: (_PURPOSES.index(one.purpose), one.label)):
        uses.setdefault(mixture.node.key, []).append(mixture)
    for key, some in uses.items():
        yield ShownMixture(
            label=" = ".join(dict.fromkeys(_shorten(data, mixture.label) for mixture in some)),
            key=key,
            purposes=tuple(purpose for purpose in _PURPOSES if any(mixture.purpose == purpose for mixture in some)),
            tokenizer=some[0].tokenizer,
            tokenizer_key=data.tokenizer(some[0].tokenizer).key,
            sources=some[0].parts,
            variants=tuple(sorted({mixture.variant for mixture in some} - {""})),
            base_models=tuple(sorted({mixture.base_model for mixture in some} - {""})),
        )


def _shorten(data: DataExpansion, label: str) -> str:
    """`demo/even/mixture_seed 1/mixture` is `even, mixture_seed 1` within its study."""
    inner = label.removeprefix(f"{data.name}/")
    name = inner.removesuffix("/mixture") if inner.endswith("/mixture") else inner.removeprefix("mixture/")
    return name.replace("/", ", ")


def _show_source(data: DataExpansion, name: str, permissions: Mapping[str, _Permission]) -> ShownSource:
    root, _, category = name.partition("/")
    return ShownSource(
        name=name,
        licence=data.study.sources[root].licence,
        tiers=permissions[root].tiers,
        permission=permissions[root].said,
        contamination=data.contamination(root).key,
        filters=tuple(_show_filters(data, name)),
        source=data.source(root).key,
        labels=data.labels(root).key if category else None,
    )


def _show_filters(data: DataExpansion, name: str) -> list[ShownFilter]:
    """The chain of filters of a source or part, in the order in which they are applied."""
    found: list[ShownFilter] = []
    node = data.dataset(name).last
    while isinstance(node.spec, specs.FilterSpec):
        settings = node.spec.filter
        kind = f"label {settings.category}" if isinstance(settings, LabelFilter) else settings.type
        found.insert(0, ShownFilter(name=kind, key=node.key))
        node = data.plan.nodes[node.parents["source"][0]]
    return found


def _find_permissions(data: DataExpansion, roots: Iterable[str]) -> dict[str, _Permission]:
    """What the study's policy says of the licence of each source."""
    sources, policy = data.study.sources, data.study.licences
    licences = {name: sources[name].licence for name in roots}
    if policy is None:
        return {name: _Permission(NO_POLICY, tiers_of(read_licence(text))) for name, text in licences.items()}
    conflicts, tiers = dict(find_licence_conflicts(policy, licences)), policy.all_tiers()
    found = {}
    for name, text in licences.items():
        said = f"exception: {policy.exceptions[name]}" if name in policy.exceptions else conflicts.get(name, ALLOWED)
        found[name] = _Permission(said, tiers_of(read_licence(text, tiers), tiers))
    return found


def _name_benchmarks(data: DataExpansion) -> tuple[str, ...]:
    """Names of the benchmarks behind each parent of a check, in the parents' order."""
    names: dict[str, list[str]] = {}
    for name, use in sorted(data.study.benchmarks.items()):
        names.setdefault(data.source(use.data).key, []).append(name)
    return tuple(", ".join(names[key]) for key in sorted(names))
