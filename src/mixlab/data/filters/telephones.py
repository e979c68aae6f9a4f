"""Telephone numbers as they are written: Japanese, North American, and those of other countries with their code.

Found wherever they stand: numbers with `+` and a country code, alone or with hyphens or spaces; Japanese mobiles;
Japanese landlines with hyphens, spaces or brackets (in Tokyo and Osaka also with full stops); North American ones with
hyphens, full stops or a bracketed area code. Found only where the line says shortly before that it is about a telephone
(for Japan also shortly after): ten digits without separators, and `415 555 2671` with spaces, which elsewhere are ids,
ISBNs and lists of numbers. Not found: numbers inside longer ones or in a list of numbers, those of other countries
without `+` or with full stops or slashes, seven digits without an area code, numbers kept for fiction (555-01xx) and
those of one or two digits repeated.
"""

import re

_BEFORE, _AFTER = r"(?<![A-Za-z0-9_.+-])", r"(?![A-Za-z0-9_-]|\.\d)"
_AREA_ENDS = r"(?:\)?[- ]|\))"
_CODES = (
    "2(?:0|7|1[12368]|2\\d|3\\d|4\\d|5[0-8]|6\\d|9[01789])|3(?:[0-469]|5\\d|7\\d|8[0-35-79])|4(?:[013-9]|2[013])|"
    "5(?:[1-8]|0\\d|9\\d)|6(?:[0-6]|7[02-9]|8[0-35-9]|9[0-2])|7|8(?:[246]|0[08]|5[02356]|8[068])|"
    "9(?:[0-58]|6[0-8]|7[0-79]|9[2-68])"
)
"""Country codes in use (ITU-T E.164, list of 2016) but for 1 and 81."""

JAPANESE = re.compile(
    rf"{_BEFORE}(?:\+81(?:[-. ]?\(0\)|[-. ])?|\(?0)(?:"
    r"[5789]0\)?[-. ]?\d{4}[-. ]?\d{4}"  # mobile and IP telephones, 11 digits
    r"|120(?:[- ]\d{3}[- ]|\(\d{3}\))\d{3}"
    rf"|\d{_AREA_ENDS}\d{{4}}[- ]\d{{4}}|\d{{2}}{_AREA_ENDS}\d{{3}}[- ]\d{{4}}"
    rf"|\d{{3}}{_AREA_ENDS}\d{{2}}[- ]\d{{4}}|\d{{4}}{_AREA_ENDS}\d[- ]\d{{4}}"
    r"|\d{1,4} ?\(\d{1,4}\) ?\d{4}|[36]\.\d{4}\.\d{4}"
    rf"){_AFTER}"
)
JAPANESE_ABROAD = re.compile(rf"{_BEFORE}\+81(?:\(0\))?[1-9]\d{{8}}{_AFTER}")
JAPANESE_BARE = re.compile(rf"{_BEFORE}0[1-9]\d{{8}}{_AFTER}")
AMERICAN = re.compile(
    rf"{_BEFORE}(?:(?:\+?1[-. ]|\+1)?\([2-9]\d{{2}}\)[- ]?[2-9]\d{{2}}[-. ]\d{{4}}"
    r"|(?:\+?1[-. ])?[2-9]\d{2}[-.][2-9]\d{2}[-.]\d{4}"
    rf"|\+1[-. ]?[2-9]\d{{2}}[-. ]?[2-9]\d{{2}}[-. ]?\d{{4}}){_AFTER}"
)
AMERICAN_BARE = re.compile(rf"{_BEFORE}(?<!\d )(?<!\d, )[2-9]\d{{2}}( ?)[2-9]\d{{2}}\1\d{{4}}{_AFTER}(?!,? \d)")
FOREIGN = re.compile(
    rf"{_BEFORE}\+(?:{_CODES})(?: ?\(0\)[- ]?\d{{1,4}})?(?:\d{{6,12}}|(?:[- ]\(?\d{{1,10}}\)?){{1,5}}){_AFTER}"
)

_CONTEXT = re.compile(
    r"(?<![A-Za-z])(?:(?:tele|cell)?phone|tel|mobile|cell|fax|call|dial|whatsapp)(?![A-Za-z])"
    r"|電話|携帯|ファックス|ファクス|連絡先|問い?合わ?せ|[℡☎📞📱]",
    re.I,
)
_CONTEXT_BEFORE, _CONTEXT_AFTER = 24, 16


def is_japanese(match: "re.Match[str]") -> bool:
    """Whether the number is as long as one of Japan, and of more than two different digits."""
    digits = re.sub(r"\D", "", re.sub(r"^\+81[-. ]?(?:\(0\))?", "0", match[0]))
    is_mobile = digits[1:3] in ("50", "70", "80", "90")
    return len(digits) == 10 + is_mobile and len(set(digits[1:])) > 2


def is_japanese_in_context(match: "re.Match[str]") -> bool:
    """Whether the line says shortly before or after that this is a telephone number."""
    after = match.string[match.end() : match.end() + _CONTEXT_AFTER].partition("\n")[0]
    return is_japanese(match) and (_is_announced(match) or bool(_CONTEXT.search(after)))


def is_american(match: "re.Match[str]") -> bool:
    """Whether area code and exchange are no services (N11) and the number is not kept for fiction."""
    digits = re.sub(r"\D", "", match[0])[-10:]
    area, exchange, line = digits[:3], digits[3:6], digits[6:]
    return not (area.endswith("11") or exchange.endswith("11") or (exchange == "555" and line.startswith("01")))


def is_american_in_context(match: "re.Match[str]") -> bool:
    """Whether the line says shortly before that this is a telephone number."""
    return is_american(match) and _is_announced(match)


def is_foreign(match: "re.Match[str]") -> bool:
    """Whether the number is as long as ITU-T E.164 allows, ten digits at least when written in one, and not round."""
    digits = re.sub(r"\D", "", match[0])
    return (9 if re.search(r"\d\D", match[0]) else 10) <= len(digits) <= 15 and len(set(digits)) > 3


def _is_announced(match: "re.Match[str]") -> bool:
    before = match.string[max(0, match.start() - _CONTEXT_BEFORE) : match.start()].rpartition("\n")[2]
    return bool(_CONTEXT.search(before))
