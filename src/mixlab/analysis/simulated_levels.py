"""How often each test rejects where there is nothing to find, as `performance/simulated_statistics.py` simulated it.

At one noise: 0.15 of SFT seeds, 0.4 of what they do to items, 0.6 of an answer. A t test's level is the same at any
noise that both sides share; those of the bootstrap and of the mixed model are not, which is why they decide nothing.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

_TABLE = "simulated_levels.yaml"
LOWEST, HIGHEST = 0.04, 0.06
"""A t test whose level lies outside decides nothing."""


@dataclass(frozen=True)
class SimulatedLevel:
    """The share of simulations without an effect that a test rejected at 5 %, and its Monte-Carlo error."""

    level: float
    error: float

    @property
    def decides(self) -> bool:
        """Whether the test keeps what it promises."""
        return LOWEST <= self.level <= HIGHEST


def find_level(test: str, units: int) -> SimulatedLevel | None:
    """Return the level with so many units on the smaller side: the simulated number next below; None under two."""
    rows = read_levels().get(test, {})
    fitting = [simulated for simulated in rows if simulated <= units]
    return rows[max(fitting)] if fitting else None


@cache
def read_levels() -> dict[str, dict[int, SimulatedLevel]]:
    """Read the committed table: test -> units a side -> level."""
    text = (files(__package__) / _TABLE).read_text(encoding="utf-8")
    return {
        test: {int(units): SimulatedLevel(float(level), float(error)) for units, (level, error) in rows.items()}
        for test, rows in yaml.safe_load(text)["levels"].items()
    }
