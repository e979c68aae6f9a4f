"""Licences of sources: SPDX expressions, the tiers they fall into, and what a study allows."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import Field, model_validator

from mixlab.config.base import Settings
from mixlab.config.problems import did_you_mean

UNKNOWN = "unknown"

TIERS: dict[str, tuple[str, ...]] = {
    "public_domain": ("CC0-1.0", "PDDL-1.0", "Unlicense", "0BSD", "CC-PDDC", "CC-PDM-1.0"),
    "permissive": (
        "MIT", "MIT-0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "PSF-2.0", "Python-2.0", "NCSA",
        "BSL-1.0", "AFL-3.0", "Artistic-2.0", "ODC-By-1.0", "CDLA-Permissive-*", "CC-BY-[0-9]*",
    ),
    "share_alike": (
        "CC-BY-SA-*", "CC-BY-NC-SA-*", "ODbL-1.0", "CDLA-Sharing-1.0", "GFDL-*", "GPL-*", "LGPL-*", "AGPL-*", "MPL-*",
        "EUPL-*",
    ),
    "non_commercial": ("CC-BY-NC-*", "CC-BY-NC-SA-*", "CC-BY-NC-ND-*"),
    "no_derivatives": ("CC-BY-ND-*", "CC-BY-NC-ND-*"),
}  # fmt: skip
"""Ids, or shell patterns of ids, of each tier; an id that is in none is unknown."""

_RESTRICTIONS = {"sa": "share_alike", "nc": "non_commercial", "nd": "no_derivatives"}
"""What parts of a Creative Commons id forbid or demand: tiers that must all be allowed."""

_SPELLINGS = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "mit license": "MIT",
    "bsd": "BSD-3-Clause",
    "bsd 3": "BSD-3-Clause",
    "bsd 2": "BSD-2-Clause",
    "cc0": "CC0-1.0",
    "cc zero": "CC0-1.0",
    "psf": "PSF-2.0",
    "odc-by": "ODC-By-1.0",
    "odbl": "ODbL-1.0",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
}
"""What data cards say, in lower case, for what SPDX names otherwise."""


@dataclass(frozen=True)
class Licence:
    """A licence as it was understood: normalised SPDX expression, a tier, or (both None) words of no known meaning."""

    spdx: str | None = None
    tier: str | None = None


class LicencePolicy(Settings):
    """Which licences the training sources of a study may have; what is not allowed is a mistake."""

    allow: tuple[str, ...] = Field(
        min_length=1,
        description=f"SPDX ids, patterns of them, and tiers ({', '.join(TIERS)}, {UNKNOWN}, or those of `tiers`); a "
        "licence with several restrictions needs all their tiers, and `CC-BY-*` is CC-BY of any version, not CC-BY-NC",
    )
    tiers: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="further tiers, or other contents of a tier: SPDX ids or patterns of them"
    )
    exceptions: dict[str, str] = Field(
        default_factory=dict, description="source: why it is used all the same; the reason stands in the report"
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> "LicencePolicy":
        tiers = self.all_tiers()
        for name in self.allow:
            if name not in tiers and not _is_known_id(name):
                raise ValueError(f"allow: {name!r} is neither a tier nor an SPDX id{_hint(name, tiers)}{_advise(name)}")
        for tier, ids in self.tiers.items():
            for name in ids:
                if not _is_known_id(name):
                    raise ValueError(f"tiers.{tier}: {name!r} is no SPDX id{_hint(name)}{_advise(name)}")
        if blank := sorted(name for name, reason in self.exceptions.items() if not reason.strip()):
            raise ValueError(f"exceptions: {', '.join(blank)}: write the reason")
        return self

    def all_tiers(self) -> dict[str, tuple[str, ...]]:
        """The tiers of the house with those of the study laid over them."""
        return {**TIERS, **self.tiers, UNKNOWN: self.tiers.get(UNKNOWN, ())}


def read_licence(text: str, tiers: Mapping[str, tuple[str, ...]] = TIERS) -> Licence:
    """Understand what a source says of its licence: an SPDX expression, a usual spelling of one, or a tier."""
    name = re.sub(r"[\s_]+", "_", text.strip().casefold())
    for tier in tiers:
        if name == tier.casefold():
            return Licence(tier=tier)
    for candidate in _spellings(text):
        parsed = _parse(candidate)
        if parsed is not None:
            return Licence(spdx=str(parsed))
    return Licence()


def tiers_of(licence: Licence, tiers: Mapping[str, tuple[str, ...]] = TIERS) -> tuple[str, ...]:
    """The tiers of all parts of a licence, sorted; unknown for what is in none."""
    if licence.spdx is None:
        return (licence.tier or UNKNOWN,)
    return tuple(sorted({tier for name in _ids(_parse(licence.spdx)) for tier in _tiers_of_id(name, tiers)}))


def find_licence_conflicts(policy: LicencePolicy, licences: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pair each source whose licence the policy does not allow with what is wrong and the cure.

    `A OR B` needs one allowed part, `A AND B` all. An exception for a source that is not there is told as well.
    """
    conflicts = []
    for name, text in licences.items():
        if name in policy.exceptions:
            continue
        if message := _conflict(policy, text):
            conflicts.append((name, f"{message}, or state a reason in licences.exceptions.{name}"))
    for name in policy.exceptions:
        if name not in licences:
            conflicts.append((name, f"licences.exceptions names no training source{did_you_mean(name, licences)}"))
    return conflicts


def _conflict(policy: LicencePolicy, text: str) -> str | None:
    tiers = policy.all_tiers()
    licence = read_licence(text, tiers)
    if licence.spdx is None and licence.tier is None:
        if UNKNOWN in policy.allow:
            return None
        return f"licence {text!r} is no SPDX expression and no tier, so it is unknown{_hint(text, tiers)}; mend it"
    if licence.tier is not None:
        is_allowed = licence.tier in policy.allow
    else:
        is_allowed = _is_allowed(_parse(licence.spdx or ""), policy.allow, tiers)
    if is_allowed:
        return None
    told = licence.spdx or licence.tier
    found = ", ".join(tiers_of(licence, tiers))
    missing = [tier for tier in tiers_of(licence, tiers) if tier not in policy.allow]
    is_choice = licence.spdx is not None and " OR " in licence.spdx
    is_partly = not is_choice and set(missing) < set(tiers_of(licence, tiers))
    and_what = f" ({' and '.join(missing)} too)" if is_partly else ""
    allowed = ", ".join(policy.allow)
    return f"licence {told} ({found}) is not allowed ({allowed}); leave the source out, allow it{and_what}"


def _is_allowed(parsed: Any, allow: tuple[str, ...], tiers: Mapping[str, tuple[str, ...]]) -> bool:
    if hasattr(parsed, "operator"):
        parts = (_is_allowed(part, allow, tiers) for part in parsed.args)
        return any(parts) if parsed.operator.strip() == "OR" else all(parts)
    (name,) = _ids(parsed)
    if _matches(name, allow):
        return True
    found = _tiers_of_id(name, tiers)
    restricting = [tier for tier in found if tier in _RESTRICTIONS.values()]
    # a tier that restricts nothing names its ids one by one, so that it may hold a restricted one
    if any(tier in allow for tier in found if tier not in restricting):
        return True
    return bool(restricting) and all(tier in allow for tier in restricting)


def _tiers_of_id(name: str, tiers: Mapping[str, tuple[str, ...]]) -> list[str]:
    # its own words count whatever a study says a tier holds
    own = {tier for part, tier in _RESTRICTIONS.items() if part in _restrictions_of(name)}
    return [tier for tier, ids in tiers.items() if tier in own or _matches(name, ids)] or [UNKNOWN]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(_is_match(name, pattern) for pattern in patterns)


def _is_match(name: str, pattern: str) -> bool:
    """Whether a pattern stands for an id; what it leaves open are versions and countries, never restrictions."""
    if not fnmatch.fnmatchcase(name.casefold(), pattern.casefold()):
        return False
    return pattern == "*" or _restrictions_of(name) <= _restrictions_of(pattern)


def _restrictions_of(name: str) -> set[str]:
    """The parts `nc`, `sa`, `nd` of a Creative Commons id or of a pattern of such."""
    before_version = re.split(r"-\d", name.casefold())[0]
    if not before_version.startswith("cc-by-"):
        return set()
    return _RESTRICTIONS.keys() & set(re.findall(r"[a-z]+", before_version))


def _ids(parsed: Any) -> list[str]:
    # an exception (`GPL-2.0 WITH …`) only adds rights: the licence it stands with decides
    symbols = (getattr(symbol, "license_symbol", symbol) for symbol in parsed.symbols)
    return list(dict.fromkeys(symbol.key for symbol in symbols))


def _spellings(text: str) -> Iterator[str]:
    yield text
    plain = re.sub(r"\s+", " ", text.strip().casefold())
    plain = re.sub(r"^(the )?creative commons ", "cc ", plain.removesuffix(" license").removesuffix(" licence"))
    plain = re.sub(r"\b(?:version |v)(?=\d)", "", plain.replace(",", ""))
    for word, short in (("attribution", "by"), ("sharealike", "sa"), ("noncommercial", "nc"), ("non-commercial", "nc")):
        plain = plain.replace(word, short)
    yield _SPELLINGS.get(plain, plain)
    yield plain.replace(" ", "-")


@cache
def _spdx() -> Any:
    # here, and not above: a study without a policy never pays for the list of licences
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


@cache
def _parse(text: str) -> Any:
    """Parse an SPDX expression; None when it is none."""
    from license_expression import ExpressionError, ExpressionParseError

    try:
        parsed = _spdx().parse(text)
    except (ExpressionError, ExpressionParseError):
        return None
    if parsed is None:
        return None
    strange = [key for key in _spdx().unknown_license_keys(parsed) if not key.startswith("LicenseRef-")]
    return None if strange else parsed


def _is_known_id(name: str) -> bool:
    if any(mark in name for mark in "*?["):
        return any(_is_match(known, name) for known in _spdx().known_symbols)
    return name.startswith("LicenseRef-") or _parse(name) is not None


def _advise(name: str) -> str:
    if not any(fnmatch.fnmatchcase(known.casefold(), name.casefold()) for known in _spdx().known_symbols):
        return ""
    return "; a pattern leaves versions open, not restrictions: write NC, SA and ND out, such as CC-BY-NC-SA-*"


def _hint(name: str, tiers: Mapping[str, object] = TIERS) -> str:
    by_folded = {known.casefold(): known for known in [*_spdx().known_symbols, *tiers]}
    near = did_you_mean(name.casefold(), by_folded)
    match = re.search(r"'(.*)'", near)
    return f"; did you mean '{by_folded[match[1]]}'?" if match else ""
