"""Numbers as people write them, in English, Japanese and LaTeX; read exactly, in linear time.

$1,234.50 = 1234.5, １８ = 18, 3万5千 = 35000, 3千5百万 = 35000000, 25/2 = 12 1/2 = 12½ = 12.5; 50 % is 50; 10-3 are two
numbers, and so are the three of 5/12/2023. Superscripts, ① and the 2 that NFKC makes of ㎡ are none.
"""

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

LONGEST = 4280
"""Digits of the longest number that is read: Python reads and writes integers of up to 4300, and 千兆 adds 15."""

_SMALL = {"千": 10**3, "百": 10**2, "十": 10}
_GREAT = {"兆": 10**12, "億": 10**8, "万": 10**4}
# INVISIBLE PLUS, which 12½ has between 12 and 1⁄2 once its ½ is written in digits
_PLUS = "\u2064"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_TERM = re.compile(rf"({_DIGITS})([千百十]?)([兆億万]?)")
_UNITED = rf"(?:(?:{_DIGITS})(?:[千百十][兆億万]?|[兆億万]))*(?:{_DIGITS})[千百十]?[兆億万]?"
_TAIL = rf"{_PLUS}\d+⁄\d+"
_WHOLE = rf"(?:(?:{_UNITED})(?:{_TAIL})?|{_TAIL})"
_MIXED = r"\d++ \d++/\d++(?! ?[/.,]\d)"
# a minus is a sign only where nothing is subtracted from: not in 10-3, x-3 nor 10個-3個, but in 気温は-3度
_KANJI_OR_KANA = r"[^\x00-\x7f\W\d]"
_NO_PARTICLE = r"[^\x00-\x7f\W\dはがもでとをに]"
_MINUS = r"(?<![A-Za-z0-9_).])" + "".join(rf"(?<!\d{_KANJI_OR_KANA * more}{_NO_PARTICLE})" for more in range(6)) + "-"
_NUMBER = re.compile(rf"(?P<minus>(?:{_MINUS})?)\$?(?:(?P<mixed>{_MIXED})|(?P<parts>{_WHOLE}(?: ?/ ?{_WHOLE})*))")
_BAR = re.compile(r" ?/ ?")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}")
_NAMES = ("[a-z]", "[cdkm]m", r"[a-z]\^", r"[cdkm]m\^")
_GLUED = re.compile("|".join(rf"(?<=(?<![A-Za-z]){name})\d" for name in _NAMES))


def find_numbers(text: str) -> list[Fraction]:
    """Return the numbers in `text` in order; what has more digits than `LONGEST` or is divided by 0 is none."""
    return [number for number, _ in _find(text)]


def find_last_number(text: str) -> Fraction | None:
    """Return the last number in `text`, None without one.

    A digit behind a small letter, as in m2, cm3, x2 and m^2, counts only where there is no other number.
    """
    numbers = list(_find(text))
    free = [number for number, is_glued in numbers if not is_glued]
    return free[-1] if free else numbers[-1][0] if numbers else None


def _find(text: str) -> Iterator[tuple[Fraction, bool]]:
    """Yield each number and whether it is a digit glued behind a letter."""
    plain = _fold(text)
    for found in _NUMBER.finditer(plain):
        if sum(map(str.isdecimal, found[0])) > LONGEST:
            continue
        is_glued = _GLUED.fullmatch(plain, *found.span()) is not None
        try:
            numbers = _read_mixed(found["mixed"]) if found["mixed"] else _read_parts(found["parts"])
        except ZeroDivisionError:
            continue
        yield from ((-one if found["minus"] and not at else one, is_glued) for at, one in enumerate(numbers))


def _read_mixed(text: str) -> list[Fraction]:
    whole, above, below = map(int, re.findall(r"\d+", text))
    part = Fraction(above, below)
    return [whole + part] if part < 1 else [Fraction(whole), part]


def _read_parts(text: str) -> list[Fraction]:
    """Return one number, the quotient of two, or each of more: those of a date."""
    parts = [_read_whole(part) for part in _BAR.split(text)]
    return [parts[0] / parts[1]] if len(parts) == 2 else parts


def _read_whole(text: str) -> Fraction:
    """Read what has no bar but its tail's; 千, 百 and 十 are summed before 万, 億 and 兆 multiply their sum."""
    whole, _, tail = text.partition(_PLUS)
    total = group = Fraction(0)
    for digits, small, great in _TERM.findall(whole):
        group += Fraction(digits.replace(",", "")) * _SMALL.get(small, 1)
        if great:
            total, group = total + group * _GREAT[great], Fraction(0)
    return total + group + (Fraction(*map(int, tail.split("⁄"))) if tail else 0)


def _fold(text: str) -> str:
    """Return a text after NFKC, but for signs that would become digits though they are none."""
    signs = {ord(sign): _fold_sign(sign) for sign in set(text) if not (sign.isascii() or sign.isdecimal())}
    # a bar of its own is a plain one: ⁄ is kept for the fractions made here
    plain = unicodedata.normalize("NFKC", text.replace("⁄", "/").translate(signs)).replace("−", "-")
    return _LATEX_FRACTION.sub(rf"{_PLUS}\1⁄\2", plain)


def _fold_sign(sign: str) -> str:
    plain = unicodedata.normalize("NFKC", sign)
    if not any(map(str.isdecimal, plain)):
        return sign
    if re.fullmatch(r"\d+⁄\d+", plain):
        return _PLUS + plain
    # the 2 of m² and of ㎡ belongs to what stands before it: a minus behind it subtracts
    return "_" if re.match("<(?:super|sub|square)>", unicodedata.decomposition(sign)) else " "
