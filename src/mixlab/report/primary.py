"""The primary test of each stated effect, as it stands beside what the rule of three standard errors says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mixlab.analysis.claim_levels import CLAIM_LEVELS, ClaimLevel
from mixlab.analysis.statistics import is_contrary
from mixlab.report.numbers import Numbers
from mixlab.report.text import UNKNOWN, render_p

ALPHA = 0.05
NOT_ESTIMABLE = "not estimable"


@dataclass(frozen=True)
class Primary:
    """The primary test of one effect by claim level: p after Holm, None where nothing could be tested.

    `note`: what the test says beside that, such as why an effect is missing. `contrary`: the levels at which the test,
    over the seeds that both sides have, sees the difference the other way round; it tells nothing of what is printed.
    """

    p_holm: Mapping[ClaimLevel, float | None]
    note: str = ""
    contrary: tuple[ClaimLevel, ...] = ()

    @property
    def told(self) -> list[ClaimLevel]:
        """The levels at which the difference is told from 0."""
        told = [level for level, p in self.p_holm.items() if p is not None and p < ALPHA]
        return [level for level in told if level not in self.contrary]

    @property
    def tested(self) -> list[ClaimLevel]:
        """The levels at which there is a p."""
        return [level for level, p in self.p_holm.items() if p is not None]

    @property
    def standing(self) -> str:
        """Render `these models`, `both levels`, `no` or `not estimable`; a dash where no test is known.

        A test that is significant the other way round is told as that.
        """
        if not self.p_holm:
            return UNKNOWN
        if not self.tested:
            return NOT_ESTIMABLE
        told = "both levels" if len(self.told) == len(CLAIM_LEVELS) else " ".join(self.told) or "no"
        p_values = [self.p_holm[level] for level in self.contrary]
        reversed_there = any(p is not None and p < ALPHA for p in p_values)
        return f"{told}; the other way round over common seeds" if reversed_there else told

    def show(self, level: ClaimLevel) -> str:
        """Render the p of a level, or that there is none."""
        if level not in self.p_holm:
            return UNKNOWN
        p = self.p_holm[level]
        return NOT_ESTIMABLE if p is None else render_p(p)

    def describe(self) -> str:
        """Render `p Holm 0.012 about these models, not estimable about this recipe`."""
        parts = [
            f"{'' if p is None else 'p Holm '}{self.show(level)} about {level}{self._describe_contrary(level)}"
            for level, p in self.p_holm.items()
        ]
        return ", ".join(parts) or "not known"

    def _describe_contrary(self, level: ClaimLevel) -> str:
        return " (the other way round, over the seeds that both have)" if level in self.contrary else ""


def find_primary(numbers: Numbers, effect: str) -> Primary:
    """Find the primary test of an effect, by its `comparison_id`; empty where the aggregate has no tests."""
    rows = [row for row in _list_primary(numbers) if row["effect"] == effect]
    by_level = {row["level"]: float(row["p_holm"]) if row["p_holm"] else None for row in rows}
    found = {level: by_level[level] for level in CLAIM_LEVELS if level in by_level}
    said = numbers.effects.get(effect, {}).get("difference")
    tested = {row["level"]: float(row["difference"]) for row in rows if row.get("difference")}
    contrary = (level for level in found if said and is_contrary(tested.get(level), float(said)))
    return Primary(found, rows[0]["note"] if rows else "", tuple(contrary))


def _list_primary(numbers: Numbers) -> Sequence[Mapping[str, str]]:
    return [row for row in numbers.statistics.get("tests", []) if row["role"] == "primary"]
