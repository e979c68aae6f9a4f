"""What looks like personal data: a pattern for each kind, and a check that throws out what only looks so.

Our own patterns, for English and Japanese: libraries that do the same bring language models or national tables of
tens of megabytes. They are strict: what is reserved for documentation, fails its check digit or stands without its
context is not counted. Emails are not found where the domain reads as a file (`job@main.py`, `notes@home.md`, unlike
`ana@correo.com.py`); IPv6 only as global unicast of three groups or more; Japanese addresses only from prefecture or
city down to a number, without a prefecture to the house; a My Number only after its name. Of telephones,
`telephones` says it.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator

from mixlab.config.filters import PersonalKind
from mixlab.data.filters import telephones

_FULL_WIDTH = re.compile(r"[０-９Ａ-Ｚａ-ｚ＠．＋]|\d[－（]\d|\d）")
_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_DASH = re.compile(r"[‐‑‒–—−ー](?<=[\d)].)(?=[\d(])")

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9_.%+/-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+([A-Za-z]{2,24})(?![A-Za-z0-9_@])"
)
_CARD = re.compile(
    r"(?<![A-Za-z0-9_.-])(?:\d{4}([- ]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([- ]?)\d{6}\2\d{5})(?![A-Za-z0-9_-]|\.\d)"
)
_IPV4 = re.compile(r"(?<![A-Za-z0-9_.-])(?:\d{1,3}\.){3}\d{1,3}(?![A-Za-z0-9_-]|\.\d)")
_IPV6 = re.compile(
    r"(?<![A-Za-z0-9_:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{1,4}(?![A-Za-z0-9_]|:[0-9A-Fa-f:])"
)
_MY_NUMBER = re.compile(r"(?<![A-Za-z0-9_-])\d{4}([- ]?)\d{4}\1\d{4}(?![A-Za-z0-9_-]|\.\d)")
_POSTCODE_JA = re.compile(r"〒 ?\d{3}-?\d{4}(?!\d)")
_COUNT_JA = r"(?:\d{1,4}|[一二三四五六七八九十百〇]{1,5})"
_ADDRESS_JA = re.compile(
    r"(?:東京都|北海道|(?:京都|大阪)府|[一-龥]{2,3}県)[^\s、。，．]{1,12}?[市区町村郡][^\s、。，．0-9]{0,16}"
    rf"(?:{_COUNT_JA}(?:丁目|番地|番{_COUNT_JA}号)|\d{{1,4}}-\d{{1,4}}(?:-\d{{1,4}})?(?!\d))"
    # without a prefecture the number must be whole: elsewhere 3-2 is a score, and 1丁目 a place in the news
    r"|(?<=[一-龥ぁ-んァ-ヶ])[市区](?![民場立長営販街内外政議役分間域画別切])[一-龥々ぁ-んァ-ヶー]{1,12}(?<![はがをにでとものやへ])"
    rf"(?:{_COUNT_JA}丁目{_COUNT_JA}(?:番|-\d|号)|{_COUNT_JA}番(?:地|{_COUNT_JA}号)"
    r"|\d{1,2}-\d{1,3}-\d{1,4}(?![\d-]))"
)
_ADDRESS_US = re.compile(
    r"(?<![A-Za-z0-9_.$-])\d{1,5} (?:[NSEW]\.? )?(?:[A-Z][a-z'.]+ |\d{1,3}(?:st|nd|rd|th) ){1,3}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl)\.?,? "
    r"[^\n]{0,60}?\b[A-Z]{2} \d{5}(?:-\d{4})?\b"
)

_RESERVED = re.compile(r"(?:^|[@.])(?:example\.(?:com|net|org|jp|co\.jp)|example|test|invalid|localhost|local)$", re.I)
_NO_PERSON = re.compile(r"^(?:no-?reply|do-?not-?reply|git|postmaster|webmaster|root|user(?:name)?|name|email)@", re.I)
_NO_DOMAINS = re.compile(r"png|jpe?g|gif|svg|webp|bmp|ico|pdf|[jt]s|css|java|rb|php|html?|json|xml|txt", re.I)
_FILE = re.compile(r"@(?:[^.]*|.*\.v?\d+|v?\d+\..*)\.(?:md|py)$", re.I)
"""Moldova and Paraguay, or a file: a single label before the suffix, or a version."""
_TEST_CARDS = re.compile(
    "4111111111111111|4242424242424242|4012888888881881|4000056655665556|5555555555554444|5105105105105100|"
    "2223003122003222|378282246310005|371449635398431|6011111111111117|3530111333300000"
)
_VERSION_BEFORE = re.compile(r"(?:\bv|\bver\.?|version|release|build|バージョン)\s*[:=]?\s*$", re.I)
_MY_NUMBER_BEFORE = re.compile(r"マイナンバー|個人番号|my ?number|individual number", re.I)

Found = Callable[["re.Match[str]"], bool]


def _is_email(match: "re.Match[str]") -> bool:
    address = match[0]
    if _NO_DOMAINS.fullmatch(match[1]) or _FILE.search(address) or ".." in address:
        return False
    return not (_RESERVED.search(address) or _NO_PERSON.search(address))


def passes_luhn(digits: str) -> bool:
    """Whether the last digit checks the others by Luhn's rule (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def passes_my_number(digits: str) -> bool:
    """Whether the 12th digit checks the 11 before it (Japan, ordinance of the ministry of internal affairs 85/2014)."""
    rest = sum(int(digit) * (n + 1 if n <= 6 else n - 5) for n, digit in enumerate(reversed(digits[:11]), 1)) % 11
    return int(digits[11]) == (0 if rest <= 1 else 11 - rest)


def _is_card(match: "re.Match[str]") -> bool:
    digits = re.sub(r"\D", "", match[0])
    issuers = r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|35(?:2[89]|[3-8])|6(?:011|5|4[4-9])"
    return bool(re.match(issuers, digits)) and passes_luhn(digits) and not _TEST_CARDS.fullmatch(digits)


def _is_ip(match: "re.Match[str]") -> bool:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    if address.version == 4:
        long = sum(len(octet) > 1 for octet in match[0].split("."))
        before = match.string[max(0, match.start() - 16) : match.start()]
        return address.is_global and long >= 2 and not _VERSION_BEFORE.search(before)
    return address.is_global and len([group for group in match[0].split(":") if group]) >= 3


def _is_my_number(match: "re.Match[str]") -> bool:
    before = match.string[max(0, match.start() - 32) : match.start()]
    return bool(_MY_NUMBER_BEFORE.search(before)) and passes_my_number(re.sub(r"\D", "", match[0]))


def _always(match: "re.Match[str]") -> bool:
    return True


PATTERNS: dict[PersonalKind, tuple[tuple["re.Pattern[str]", Found], ...]] = {
    "credit_card": ((_CARD, _is_card),),
    "email": ((_EMAIL, _is_email),),
    "ip_address": ((_IPV4, _is_ip), (_IPV6, _is_ip)),
    "my_number": ((_MY_NUMBER, _is_my_number),),
    "phone": (
        (telephones.JAPANESE, telephones.is_japanese),
        (telephones.JAPANESE_ABROAD, telephones.is_japanese),
        (telephones.JAPANESE_BARE, telephones.is_japanese_in_context),
        (telephones.AMERICAN, telephones.is_american),
        (telephones.AMERICAN_BARE, telephones.is_american_in_context),
        (telephones.FOREIGN, telephones.is_foreign),
    ),
    "postal_address": ((_POSTCODE_JA, _always), (_ADDRESS_JA, _always), (_ADDRESS_US, _always)),
}
_NEEDED: dict[PersonalKind, "re.Pattern[str]"] = {
    "credit_card": re.compile(r"\d{4}[- ]?\d{4,6}[- ]?\d{4}"),
    "email": re.compile("@"),
    "ip_address": re.compile(r"\d\.\d|[0-9A-Fa-f]:[0-9A-Fa-f]"),
    "my_number": re.compile(r"\d{4}[- ]?\d{4}[- ]?\d{4}"),
    "phone": re.compile(r"\d{4}|\+\d"),
    "postal_address": re.compile(r"〒|[市区町村郡]|[A-Z]{2} \d{5}"),
}
"""A text without this has nothing of the kind; much faster to look for."""


def find_personal(kind: PersonalKind, text: str) -> Iterator[int]:
    """Yield where in `text` each find of a kind begins; full-width digits and signs count as ASCII."""
    if _NEEDED[kind].search(text) is None:
        return
    for pattern, holds in PATTERNS[kind]:
        for match in pattern.finditer(text):
            if holds(match):
                yield match.start()


def to_ascii(text: str) -> str:
    """Write full-width letters, digits and signs, and what serves as a hyphen between digits, as ASCII.

    The length stays. Elsewhere ー is a vowel, as in マイナンバー.
    """
    return _DASH.sub("-", text.translate(_TO_ASCII) if _FULL_WIDTH.search(text) else text)
