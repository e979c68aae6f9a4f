"""What is wrong with something a user wrote: where, what was got, what is allowed, the cure."""

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake of a user's, addressed so that it can be found and cured."""

    message: str
    file: str = ""
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.message) if part)


class UserError(Exception):
    """Something a user must mend; printed without a traceback, exit code 2."""

    exit_code = 2

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigError(UserError):
    """The configuration cannot be used."""


class DataError(UserError):
    """A source, a benchmark or an artifact's data cannot be used."""


def did_you_mean(got: str, allowed: Iterable[str]) -> str:
    """Render `; did you mean 'x'?` for the allowed name nearest to `got`, or nothing.

    Of one that looks the same it says so: an editor may write a letter and its mark as one character or as two.
    """
    known = list(allowed)
    normal = unicodedata.normalize("NFC", got)
    if any(name != got and unicodedata.normalize("NFC", name) == normal for name in known):
        return "; one that looks the same is there, in other characters (Unicode NFC or NFD): copy it from there"
    near = difflib.get_close_matches(got, known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
