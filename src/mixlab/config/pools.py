"""Names for several sources at once, and the names that mixtures know: sources, their labelled parts, pools."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from mixlab.config.base import Settings
from mixlab.config.categories import CATEGORIES
from mixlab.config.problems import did_you_mean
from mixlab.config.published import Published
from mixlab.config.sources import TO_BE_LABELLED, SourceConfig

Label = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^/\\\x00-\x1f]+$")]

Names = Mapping[str, tuple[str, ...]]
Found = Iterator[tuple[tuple[str | int, ...], str]]


class Pool(Settings):
    """Sources under one name, which stands wherever a mixture names sources."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="names of sources, of labelled parts such as web/math, or of other pools"
    )
    description: str = Field(default="", description="one sentence for people")
    published: Published | None = Field(default=None, description="published figures of the whole pool")


class Registry(Settings):
    """A file of sources and pools for studies to extend: `studies/<folder>/<name>.yaml`."""

    sources: dict[Label, SourceConfig] = Field(min_length=1, description="every source, by name")
    pools: dict[Label, Pool] = Field(default_factory=dict, description="several sources under one name, by name")


def split_parts(sources: Mapping[str, SourceConfig]) -> dict[str, SourceConfig]:
    """Return every training source by the name a mixture knows it by.

    A source to be labelled counts as four, `NAME/code` to `NAME/reasoning`, each of one category.
    """
    parts: dict[str, SourceConfig] = {}
    for name, source in sources.items():
        if source.category == TO_BE_LABELLED:
            for category in CATEGORIES:
                parts[f"{name}/{category}"] = source.model_copy(update={"category": category})
        elif source.kind != "benchmark":
            parts[name] = source
    return parts


def expand_names(sources: Mapping[str, SourceConfig], pools: Mapping[str, Pool]) -> dict[str, tuple[str, ...]]:
    """Return what each name of a source, part or pool stands for: names of parts, each once, sorted.

    A name in a pool that is not known stands for nothing; `find_pool_problems` tells it.
    """
    names: dict[str, tuple[str, ...]] = {}
    for part in split_parts(sources):
        name = part.partition("/")[0]
        names[part] = (part,)
        names[name] = tuple(sorted({*names.get(name, ()), part}))
    return names | {name: tuple(sorted(_members(name, pools, names, set()))) for name in pools if name not in names}


def _members(name: str, pools: Mapping[str, Pool], names: Names, seen: set[str]) -> set[str]:
    if name in names:
        return set(names[name])
    if name not in pools or name in seen:
        return set()
    return {part for member in pools[name].sources for part in _members(member, pools, names, seen | {name})}


def find_pool_problems(sources: Mapping[str, SourceConfig], pools: Mapping[str, Pool], known: set[str]) -> Found:
    """Yield what pools cannot mean; `known` names sources and pools with mistakes of their own as well."""
    names = expand_names(sources, {})
    for name, pool in pools.items():
        path = ("pools", name)
        if name in sources:
            yield path, f"a source is named '{name}' too; a mixture could not tell them apart: rename the pool"
        for position, member in enumerate(pool.sources):
            here = (*path, "sources", position)
            if member in sources and sources[member].kind == "benchmark":
                yield here, f"'{member}' is a benchmark; a pool holds raw and instruction sources"
            elif member not in names and member not in known:
                all_known = {*names, *known}
                yield here, f"no source, part or pool is named '{member}'{did_you_mean(member, all_known)}"
            elif member in pool.sources[:position]:
                yield here, f"'{member}' is named twice; name each once"
            elif member in pools and member not in sources and name in reach_pools(member, pools):
                yield here, f"pool '{member}' holds this pool in turn; a pool cannot hold itself"


def reach_pools(name: str, pools: Mapping[str, Pool]) -> set[str]:
    """Return the pool of that name and every pool that it names, directly or not; empty when it is no pool."""
    seen: set[str] = set()
    open_names = [name]
    while open_names:
        one = open_names.pop()
        if one in pools and one not in seen:
            seen.add(one)
            open_names += pools[one].sources
    return seen
