"""What the data of a study cannot mean: sources, tokenizers, filters, labels, licences, mixtures."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from mixlab.config.base_models import ScratchModelConfig
from mixlab.config.filters import (
    ExactDuplicatesConfig,
    FilterConfig,
    LengthConfig,
    NearDuplicatesConfig,
    settle_against,
)
from mixlab.config.licences import find_licence_conflicts
from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.problems import did_you_mean
from mixlab.config.sources import GeneratorOrigin, SourceSettings, find_repeated
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.config.tokenizers import ExternalTokenizerConfig, HubTokenizerConfig
from mixlab.plan.sources_lock import LOCK, LockedSource

Path = tuple[str | int, ...]
Found = Iterator[tuple[Path, str]]


def unknown(what: str, name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Say that a name is not known, what was perhaps meant, and what there is."""
    return f"no {what} is named '{name}'{did_you_mean(name, known)}; known: {', '.join(sorted(known)) or 'none'}"


def render(error: ValueError) -> list[str]:
    """Return the messages of an error of a settings model, without pydantic's words."""
    if isinstance(error, ValidationError):
        return [item["msg"].removeprefix("Value error, ") for item in error.errors()]
    return [str(error)]


def check_sources(study: Study, read: StudyFile, lock: Mapping[str, LockedSource]) -> Found:
    """Look whether every source that is not generated was locked as it is declared."""
    used = read.used_sources()
    for name, source in study.sources.items():
        if isinstance(source.origin, GeneratorOrigin) or name not in used:
            continue
        locked = lock.get(name)
        if locked is None:
            yield ("sources", name), f"not in {LOCK}; run `mixlab lock {name}`"
        elif not locked.is_of(source.origin):
            yield ("sources", name, "origin"), f"{LOCK} was written for other files; run `mixlab lock {name}`"
        elif copies := locked.find_copies():
            yield from (
                (("sources", name, "origin"), f"{message}; then run `mixlab lock {name}`") for message in copies
            )
        else:
            try:
                locked.settle(source)
            except ValueError as error:
                for message in render(error):
                    yield ("sources", name), message


def check_tokenizers(study: Study, read: StudyFile, lock: Mapping[str, LockedSource]) -> Found:
    """Look whether tokenizers are trained on sources that are there, or were locked."""
    for name, tokenizer in study.tokenizers.items():
        sources = tokenizer.source_names()
        if isinstance(tokenizer, ExternalTokenizerConfig | HubTokenizerConfig):
            locked = lock.get(f"tokenizer/{name}")
            if locked is None or not locked.is_of(tokenizer):
                another = "of another path in" if isinstance(tokenizer, ExternalTokenizerConfig) else "another one in"
                told = "not in" if locked is None else another
                yield ("tokenizers", name), f"{told} {LOCK}; run `mixlab lock tokenizer/{name}`"
        for position, source in enumerate(sources):
            path = ("tokenizers", name, "sources", position)
            if source not in read.names("sources"):
                yield path, unknown("source", source, read.names("sources"))
            elif source in sources[:position]:
                yield path, f"'{source}' is named twice; name each source once"
            elif source in study.sources and study.sources[source].kind == "benchmark":
                yield path, f"'{source}' is a benchmark; a tokenizer is trained on raw and instruction sources"


def check_filters(study: Study, read: StudyFile) -> Found:
    """Look whether filters, the study's and those of single sources, name what is there."""
    yield from _check_chain(study, read, ("filters",), study.filters)
    for name, source in study.sources.items():
        path = ("sources", name, "filters")
        if source.filters is not None and source.kind == "benchmark":
            yield path, "a benchmark is not filtered; remove `filters`"
        yield from _check_chain(study, read, path, source.filters or ())
    yield from _check_cycles(study)


def _check_chain(study: Study, read: StudyFile, path: Path, filters: Sequence[FilterConfig]) -> Found:
    for position, one in enumerate(filters):
        if isinstance(one, LengthConfig) and one.tokenizer not in read.names("tokenizers"):
            yield (*path, position, "tokenizer"), unknown("tokenizer", one.tokenizer, read.names("tokenizers"))
        if not isinstance(one, ExactDuplicatesConfig | NearDuplicatesConfig):
            continue
        for number, name in enumerate(one.against):
            if name not in read.names("sources"):
                yield (*path, position, "against", number), unknown("source", name, read.names("sources"))
            elif name in study.sources and study.sources[name].kind == "benchmark":
                message = f"'{name}' is a benchmark; the search for contamination looks for its items"
                yield (*path, position, "against", number), message


def _check_cycles(study: Study) -> Found:
    """Filters of single sources alone can make a cycle: those of the study keep what the source named first holds."""
    chains = _chains(study)
    beside = _beside(chains)
    for name, chain in chains.items():
        if study.sources[name].filters is None:
            continue
        for position, one in enumerate(chain):
            for number, other in enumerate(getattr(one, "against", ())):
                path = ("sources", name, "filters", position, "against", number)
                if other == name:
                    yield path, f"'{name}' is compared with its own records in any case; remove it, or none would stay"
                elif name in _reach(other, beside):
                    message = f"'{name}' is compared with '{other}', and '{other}' in turn with '{name}'"
                    yield path, f"{message}: both would lose what they share; keep one of the two"


def _chains(study: Study) -> dict[str, Sequence[FilterConfig]]:
    """The filters of each training source: its own, or the study's as they are for it."""
    return {
        name: settle_against(study.filters, name) if source.filters is None else source.filters
        for name, source in study.sources.items()
        if source.kind != "benchmark"
    }


def _beside(chains: Mapping[str, Sequence[FilterConfig]]) -> dict[str, set[str]]:
    """The sources that each one is compared with, to lose what they share."""
    return {name: {other for one in of for other in getattr(one, "against", ())} for name, of in chains.items()}


def _reach(name: str, beside: Mapping[str, set[str]]) -> set[str]:
    """Return every source that one is compared with, directly or by way of others."""
    seen: set[str] = set()
    open_names = [name]
    while open_names:
        found = beside.get(open_names.pop(), set()) - seen
        seen |= found
        open_names += found
    return seen


def check_labellers(study: Study, read: StudyFile) -> Found:
    """Look whether sources that are to be labelled name a labeller that is there."""
    used = read.used_sources()
    for name, source in study.sources.items():
        if name in used and source.labeller is not None and source.labeller not in read.names("labellers"):
            yield ("sources", name, "labeller"), unknown("labeller", source.labeller, read.names("labellers"))


def check_licences(study: Study, read: StudyFile) -> Found:
    """Compare the licence of every training source with the study's policy, if it has one."""
    if study.licences is None:
        return
    used = ((name, study.sources[name]) for name in sorted(read.used_sources() & set(study.sources)))
    licences = {name: source.licence for name, source in used if source.kind != "benchmark"}
    for name, message in find_licence_conflicts(study.licences, licences):
        yield ("sources", name, "licence"), message


def check_mixture(study: Study, read: StudyFile, path: Path, mixture: MixtureConfig) -> Found:
    """Look whether a mixture names sources, parts or pools that are there, and can be met."""
    expansion = study.expansion()
    known = {*read.names("sources"), *read.names("pools"), *expansion}
    for position, name in enumerate(mixture.sources):
        if name not in known:
            at = name if isinstance(mixture.sources, dict) else position
            yield (*path, "sources", at), unknown("source", name, sorted(known))
        elif name in study.sources and study.sources[name].kind == "benchmark":
            at = name if isinstance(mixture.sources, dict) else position
            yield (*path, "sources", at), f"'{name}' is a benchmark; a mixture takes raw and instruction sources"
    if not all(name in expansion for name in mixture.names()):
        return
    try:
        mixture.renamed(expansion).to_settings(study.parts(), seed=0)
    except ValueError as error:
        for message in render(error):
            yield path, message


def list_repeated(study: Study, lock: Mapping[str, LockedSource]) -> list[tuple[str, str]]:
    """Pair sources that have records in common and keep them."""
    settled = dict(sorted(_settle(study, lock)))
    beside = _beside(_chains(study))
    return [
        (name, same)
        for name, same in find_repeated(settled)
        # one that is compared with the other has lost what they share, and all of it when nothing else tells them apart
        if settled[name].origin == settled[same].origin
        or not (same in beside.get(name, ()) or name in beside.get(same, ()))
    ]


def list_drawn(study: Study) -> list[tuple[Path, set[str]]]:
    """Every mixture's place in the study, and the sources that have a share in it."""
    mixtures: list[tuple[Path, MixtureConfig]] = [
        *(
            (("base_models", name, "mixture"), one.mixture)
            for name, one in study.base_models.items()
            if isinstance(one, ScratchModelConfig)
        ),
        *((("variants", label), one) for label, one in study.variants.items()),
        *([(("sft", "mixture"), study.sft.mixture)] if study.sft is not None else []),
    ]
    return [(path, _drawn_sources(study, mixture)) for path, mixture in mixtures]


def check_repeated(study: Study, lock: Mapping[str, LockedSource]) -> Found:
    """Look whether a mixture names the same records under two names: they would be counted, and drawn, twice."""
    repeated = list_repeated(study, lock)
    for path, drawn in list_drawn(study):
        for name, same in repeated:
            if name in drawn and same in drawn:
                cure = "name one of them, or let each `select` what the other does not"
                yield (*path, "sources"), f"'{name}' has records that '{same}' has too; {cure}"


def _drawn_sources(study: Study, mixture: MixtureConfig) -> set[str]:
    """The sources that have a share in a mixture; none of one that is wrong, which check_mixture tells."""
    try:
        parts = mixture.renamed(study.expansion()).used_names(study.parts())
    except ValueError:
        return set()
    return {part.partition("/")[0] for part in parts}


def _settle(study: Study, lock: Mapping[str, LockedSource]) -> Iterator[tuple[str, SourceSettings]]:
    for name, source in study.sources.items():
        if isinstance(source.origin, GeneratorOrigin):
            yield name, source.to_settings()
        elif name in lock and lock[name].is_of(source.origin):
            try:
                yield name, lock[name].settle(source)
            except ValueError:
                continue  # told by check_sources
