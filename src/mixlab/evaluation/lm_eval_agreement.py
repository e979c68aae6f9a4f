"""Whether two scorers agree: ours of final numbers and a task of lm-eval, item by item on the same responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mixlab.config.scorers import FinalNumberSettings, LmEvalScorerSettings
from mixlab.evaluation.reference import build_reference, spoil_reference
from mixlab.evaluation.scorers.score import Pair, Score
from mixlab.evaluation.scoring import score_pairs
from mixlab.generation.responses import Response


@dataclass(frozen=True)
class Difference:
    """A response of which the scorers say different things: another verdict, or another number."""

    item: str
    response: str
    ours: str | None
    ours_right: bool
    theirs: str | None
    theirs_right: bool


@dataclass(frozen=True)
class Agreement:
    """What one filter of the task says of all responses beside our scorer."""

    filter: str
    responses: int
    differences: tuple[Difference, ...]

    @property
    def agree(self) -> int:
        """Responses with the same verdict and the same number."""
        return self.responses - len(self.differences)

    @property
    def verdicts(self) -> tuple[int, int]:
        """Responses that only ours calls right, and that only lm-eval does."""
        ours = sum(one.ours_right and not one.theirs_right for one in self.differences)
        return ours, sum(one.theirs_right and not one.ours_right for one in self.differences)


def build_reference_pairs(settings: FinalNumberSettings, items: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """Return each item with its reference answer as the response, and with a spoiled copy of it."""
    right = [(item, _respond(item, build_reference(settings, item))) for item in items]
    return right + [(pair[0], _respond(pair[0], spoil_reference(settings, pair))) for pair in right]


def _respond(item: Mapping[str, Any], text: str) -> Response:
    return Response(str(item["id"]), [""], responses=[text], finish_reasons=["stop"])


def compare_extraction(
    ours: FinalNumberSettings, theirs: Sequence[LmEvalScorerSettings], pairs: Sequence[Pair]
) -> list[Agreement]:
    """Score responses by our scorer and by each of the task's filters, and list where they differ."""
    own = score_pairs(ours, pairs, 1).scores
    found = []
    for settings in theirs:
        other = score_pairs(settings, pairs, 1).scores
        both = zip(own, other, pairs, strict=True)
        differences = tuple(_tell(a, b, pair[1].responses[-1]) for a, b, pair in both if _differ(a, b))
        found.append(Agreement(settings.filter, len(pairs), differences))
    return found


def _differ(ours: Score, theirs: Score) -> bool:
    return ours.score != theirs.score or _read_number(ours.extracted) != _read_number(theirs.extracted)


def _read_number(text: str | None) -> Fraction | None:
    """Return the number that an extracted text is, as lm-eval's gsm8k compares it: without commas, $ and a last dot."""
    try:
        return Fraction((text or "").replace(",", "").replace("$", "").removesuffix("."))
    except (ValueError, ZeroDivisionError):
        return None


def _tell(ours: Score, theirs: Score, text: str) -> Difference:
    return Difference(ours.item, text, ours.extracted, ours.score == 1, theirs.extracted, theirs.score == 1)
