"""What follows from printed numbers, and what does not: each check shows its computation."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixlab.analysis.published.rounded import Rounded


@dataclass(frozen=True)
class Check:
    """One number computed from others, beside the one printed for it.

    `apart` is computed - printed; `allowed` how far both may be apart by the rounding of every number in it.
    """

    where: str
    printed: str
    computed: str
    computation: str
    apart: float
    allowed: float
    follows: bool


@dataclass(frozen=True)
class Gap:
    """A printed number that cannot be computed, and why."""

    where: str
    printed: str
    why: str


@dataclass(frozen=True)
class Derivation:
    """Checks of one kind, with the rule by which they compute, and the numbers that it cannot compute."""

    name: str
    rule: str
    checks: tuple[Check, ...]
    gaps: tuple[Gap, ...] = ()

    @property
    def failing(self) -> tuple[Check, ...]:
        """The numbers that do not follow."""
        return tuple(check for check in self.checks if not check.follows)


def check_number(where: str, printed: str, known: Rounded, computed: Rounded, computation: str, digits: int) -> Check:
    """Compare a computed number with the one printed; `digits` behind the point are shown of the computed one."""
    return Check(
        where,
        printed,
        render_exact(computed.value, digits),
        computation,
        float(computed.value - known.value),
        float(computed.rounding + known.rounding),
        computed.meets(known),
    )


def render_exact(value: Fraction, digits: int) -> str:
    """Render a fraction with so many digits, halves to even, without zeros behind the last other digit."""
    text = f"{float(round(value, digits)):.{digits}f}" if digits else str(round(value))
    return text.rstrip("0").rstrip(".") if "." in text else text


def render_sum(terms: Sequence[str]) -> str:
    """Render `4.58 + 4.17 + (-0.35)`."""
    return " + ".join(f"({term})" if term.startswith(("-", "+")) else term for term in terms)
