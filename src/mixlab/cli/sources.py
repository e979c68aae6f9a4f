"""`mixlab sources`: what a registry or a study declares, and what is wrong with a registry."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from mixlab.cli._common import example, json_option, print_json, render_count, render_table
from mixlab.config.licences import UNKNOWN, read_licence, tiers_of
from mixlab.config.loading import sort_problems
from mixlab.config.pools import Pool
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.published import Published, parse_printed
from mixlab.config.sources import FilesConfig, GeneratorOrigin, SourceConfig
from mixlab.config.studies import load_registry, load_study
from mixlab.plan.sources_lock import LockedSource, read_lock

_HEADER = ("name", "kind", "language", "category", "licence", "location", "published tokens", "lock")


@click.group(
    epilog=example("mixlab sources check studies/kodama_oda/sources.yaml", "mixlab sources list micro --json"),
)
def command() -> None:
    """List what a registry or a study declares, and check registries: files of sources that studies extend."""


@command.command(epilog=example("mixlab sources check studies/kodama_oda/sources.yaml"))
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@json_option
def check(files: Sequence[Path], as_json: bool) -> None:
    """Say what is wrong with registries, all at once; the exit code is 2 when anything is."""
    cards: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            registry, document = load_registry(file)
        except ConfigError as error:
            problems += error.problems
            continue
        strange = [name for name, one in registry.sources.items() if tiers_of(read_licence(one.licence)) == (UNKNOWN,)]
        cards.append(
            {
                "file": str(file),
                "sources": len(registry.sources),
                "pools": len(registry.pools),
                "licence_unknown": strange,
                "assumed": [{"key": one.address, "line": one.line} for one in document.assumptions],
            }
        )
    if problems:
        raise ConfigError(sort_problems(problems))
    if as_json:
        print_json({"files": cards})
        return
    for card in cards:
        counted = f"{render_count(card['sources'], 'source')}, {render_count(card['pools'], 'pool')}"
        unknown = f"{render_count(len(card['licence_unknown']), 'licence')} unknown"
        click.echo(f"{card['file']}: {counted}, {unknown}, {render_count(len(card['assumed']), 'assumption')}")


@command.command("list", epilog=example("mixlab sources list real_small", "mixlab sources list FILE.yaml --json"))
@click.argument("where", metavar="FILE|STUDY")
@json_option
def list_sources(where: str, as_json: bool) -> None:
    """List the sources and pools of a registry (a path that ends in .yaml) or of a study (its name)."""
    root = Path.cwd()
    declared: Mapping[str, SourceConfig]
    pools: Mapping[str, Pool]
    if where.endswith((".yaml", ".yml")):
        registry, _ = load_registry(Path(where))
        declared, pools, used = registry.sources, registry.pools, None
    else:
        study, _ = load_study(root, where)
        declared, pools, used = study.sources, study.pools, study.used_sources()
    lock = read_lock(root)
    rows = [_describe(name, one, lock.get(name)) for name, one in declared.items()]
    for row in rows:
        row["used"] = None if used is None else row["name"] in used
    if as_json:
        print_json({"sources": rows, "pools": [_describe_pool(name, one) for name, one in pools.items()]})
        return
    click.echo(render_table(_HEADER, (_render_row(row) for row in rows)))
    for name, pool in pools.items():
        click.echo(f"pool {name}: {', '.join(pool.sources)}")
    kinds = Counter(str(row["kind"]) for row in rows)
    click.echo(", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())))


def _describe(name: str, config: SourceConfig, locked: LockedSource | None) -> dict[str, Any]:
    return {
        "name": name,
        "kind": config.kind,
        "language": config.language,
        "category": config.category,
        "licence": config.licence,
        "tiers": tiers_of(read_licence(config.licence)),
        "location": _locate(config),
        "published_tokens": _count_published(config.published),
        "published_in_part": _is_in_part(config.published),
        **_describe_lock(config, locked),
    }


def _locate(config: SourceConfig) -> str:
    origin = config.origin
    if isinstance(origin, GeneratorOrigin):
        return f"generator {origin.name}"
    if isinstance(origin, FilesConfig):
        return " ".join(f"{origin.root}:{path}" for path in origin.paths)
    part = f" {origin.config}" if origin.config else ""
    return f"hub {origin.id}{part}"


def _describe_lock(config: SourceConfig, locked: LockedSource | None) -> dict[str, Any]:
    """Say whether a source is locked as it is declared; the digest is that of its files' digests, or its commit."""
    if isinstance(config.origin, GeneratorOrigin):
        return {"lock": "generated", "digest": None}
    if locked is None:
        return {"lock": "absent", "digest": None}
    if not locked.is_of(config.origin):
        return {"lock": "other declaration", "digest": None}
    text = "\n".join(sorted([*locked.digests(), *locked.digests(joined=True)]))
    commit = locked.hub.revision if locked.hub is not None else None
    return {"lock": "locked", "digest": commit or hashlib.sha256(text.encode()).hexdigest()}


def _count_published(published: Published | None) -> dict[str, int]:
    """Sum the published tokens by tokenizer: the totals where there are any, else those of the cells."""
    if published is None:
        return {}
    cells = [published] if published.tokens or published.response_tokens else list(published.cells.values())
    counts: dict[str, Fraction] = {}
    for cell in cells:
        for tokenizer, text in (cell.tokens or cell.response_tokens or {}).items():
            counts[tokenizer] = counts.get(tokenizer, Fraction(0)) + parse_printed(text).value
    return {tokenizer: int(count) for tokenizer, count in sorted(counts.items())}


def _is_in_part(published: Published | None) -> bool:
    """Whether the published tokens of some cell are not known, so that their sum is less than all."""
    if published is None or published.tokens or published.response_tokens:
        return False
    known = [bool(cell.tokens or cell.response_tokens) for cell in published.cells.values()]
    return any(known) and not all(known)


def _describe_pool(name: str, pool: Pool) -> dict[str, Any]:
    return {
        "name": name,
        "sources": list(pool.sources),
        "published_tokens": _count_published(pool.published),
        "published_in_part": _is_in_part(pool.published),
        "description": pool.description,
    }


def _render_row(row: Mapping[str, Any]) -> list[str]:
    tokens = ", ".join(f"{_render_tokens(count)} {name}" for name, count in row["published_tokens"].items())
    state = f"{row['lock']} {row['digest'][:12]}" if row["digest"] else row["lock"]
    texts = [str(row[key] or "-") for key in ("name", "kind", "language", "category", "licence", "location")]
    return [*texts, f"> {tokens}" if row["published_in_part"] else tokens or "-", state]


def _render_tokens(count: int) -> str:
    for letter, unit in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= unit:
            return f"{count / unit:.3g} {letter}"
    return str(count)
