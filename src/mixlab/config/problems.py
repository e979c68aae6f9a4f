"""What is wrong with something a user wrote: where, what was got, what is allowed, the cure."""

import difflib
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
    """Render `; did you mean 'x'?` for the allowed name nearest to `got`, or nothing."""
    near = difflib.get_close_matches(got, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
