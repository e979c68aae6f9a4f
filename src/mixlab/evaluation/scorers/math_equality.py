"""Whether two LaTeX answers are equal: as texts after normalising, else by Math-Verify in a process of its own."""

import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from mixlab.artifacts.code import note_file
from mixlab.config.problems import UserError
from mixlab.evaluation.helper import Helper

_WORKER = Path(__file__).with_name("math_worker.py")
_START_SECONDS = 120.0
LONGEST = 500
"""Characters of the longest answer that is read as mathematics."""
EQUAL, DIFFERENT = "equal", "different"
TOO_LONG = f"longer than {LONGEST} characters"
_PROBE = ("1", "\\frac{2}{2}")

_THIN = r"(?<!\\)\\[,;:! ]|~"
_SPACING = re.compile(rf"(?:{_THIN}|\\(?:left|right|displaystyle|quad|qquad)(?![A-Za-z])|\s)+")
_THIN_THOUSANDS = re.compile(rf"(?<=\d)(?:{_THIN})+(?=\d{{3}}(?!\d))")
_SPACED_THOUSANDS = re.compile(r"-?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_DIGIT_ARGUMENTS = re.compile(r"(\\(?:frac|binom))\s*(\d)\s+(?=\d)")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_FRACTIONS = re.compile(r"\\[dt]frac(?![A-Za-z])")
_UNITS = re.compile(r"\\(?:text|mbox|mathrm)\{([^{}]{0,80})\}$")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))")


def normalise_latex(text: str) -> str:
    r"""Return LaTeX without what changes no value: spacing, \left, \dfrac, $, degrees, %, a unit behind a number.

    Thousands commas go where the whole text is one number: 1,234 is 1234, while (1,234) stays a pair. A space between
    digits stays, `1 1` is not 11, but in thousands: `1\,000`, `1 000`. Full-width signs are the plain ones.
    """
    plain = _FRACTIONS.sub(r"\\frac", text.translate(_FULL_WIDTH).strip().strip("$").rstrip("."))
    plain = _THIN_THOUSANDS.sub("", _DIGIT_ARGUMENTS.sub(r"\1\2", plain)).strip()
    if _SPACED_THOUSANDS.fullmatch(plain):
        plain = plain.replace(" ", "")
    plain = _SPACING.sub(_keep_between_digits, plain)
    plain = plain.replace("\\$", "").replace("$", "").removesuffix("\\%").removesuffix("%")
    plain = re.sub(r"\^(?:\{\\circ\}|\\circ)$", "", plain)
    if (unit := _UNITS.search(plain)) and unit.start():
        plain = plain[: unit.start()]
    elif unit:
        plain = unit[1]
    if re.fullmatch(r"-?\d{1,3}(?:(?:,|\{,\})\d{3})+(?:\.\d+)?", plain):
        plain = _THOUSANDS.sub("", plain)
    return plain


def _keep_between_digits(spacing: re.Match[str]) -> str:
    text, (start, end) = spacing.string, spacing.span()
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    return " " if before.isdecimal() and after.isdecimal() else ""


def name_other_bases(reference: str, answer: str) -> bool:
    """Whether both are numbers with a base, `12_8`, and the bases differ; Math-Verify would leave them out."""
    bases = [re.search(r"_\{?(\d{1,3})\}?$", text) for text in (reference, answer)]
    return None not in bases and len({found[1] for found in bases if found}) == 2


class _Process:
    """One comparing process; started when it is first needed, and anew after it was ended."""

    def __init__(self) -> None:
        self._helper = Helper((sys.executable, "-I", "-B", str(_WORKER)))

    def stop(self) -> None:
        """End the process."""
        self._helper.stop()

    def compare(self, pair: tuple[str, str], seconds: float) -> str:
        """Compare two answers; one that takes too long or ends the process is different, and the word says so."""
        if not self._helper.is_running and self._ask(_PROBE, _START_SECONDS) != EQUAL:
            self.stop()
            raise UserError("mathematical answers cannot be compared: `math-verify` is missing; install mixlab anew")
        word = self._ask(pair, seconds)
        if word not in (EQUAL, DIFFERENT):
            self.stop()
        return word

    def _ask(self, pair: tuple[str, str], seconds: float) -> str:
        line = self._helper.ask(json.dumps({"reference": pair[0], "answer": pair[1]}).encode() + b"\n", seconds)
        if line is None:
            return f"not compared in {seconds:g} s"
        if not line:
            return "the comparison ended its process"
        return EQUAL if json.loads(line)["equal"] else DIFFERENT


class MathEquality:
    """Compares answers with `workers` processes; a context manager. Equal pairs are compared once."""

    def __init__(self, workers: int, seconds: float) -> None:
        self._seconds = seconds
        note_file(_WORKER)
        self._processes = [_Process() for _ in range(max(1, workers))]
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        for process in self._processes:
            self._idle.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.stop()

    def compare_all(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Say of each pair (reference, answer) whether it is `EQUAL`, `DIFFERENT`, or why it was not compared."""
        different = list(dict.fromkeys(pairs))
        with ThreadPoolExecutor(len(self._processes)) as pool:
            words = dict(zip(different, pool.map(self._compare, different), strict=True))
        return [words[pair] for pair in pairs]

    def _compare(self, pair: tuple[str, str]) -> str:
        reference, answer = map(normalise_latex, pair)
        if reference == answer:
            return EQUAL
        if not answer or name_other_bases(reference, answer):
            return DIFFERENT
        if max(len(reference), len(answer)) > LONGEST:
            return TOO_LONG
        process = self._idle.get()
        try:
            return process.compare((reference, answer), self._seconds)
        finally:
            self._idle.put(process)
