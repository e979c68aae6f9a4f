"""The proof that a scorer is right: reference answers pass, and a spoiled copy of each fails."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.problems import DataError
from mixlab.config.scorers import ExactMatchSettings, FinalNumberSettings, ScorerSettings
from mixlab.evaluation.scorers.final_number import read_reference
from mixlab.evaluation.scorers.score import Pair, Scored, read_text, read_texts
from mixlab.evaluation.scoring import score_pairs
from mixlab.generation.responses import Response


@dataclass(frozen=True)
class ReferenceCheck:
    """What became of a benchmark's reference answers.

    `reference_wrong` names the items whose reference fails, `spoiled_right` those whose spoiled copy passes; the first
    must equal the unsolvable items and the second must be empty for the scorer to be right.
    """

    items: int
    reference_right: int
    reference_wrong: tuple[str, ...]
    spoiled_right: tuple[str, ...]
    unsolvable: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Whether references fail only where nobody can succeed, and every spoiled copy fails."""
        return set(self.reference_wrong) == set(self.unsolvable) and not self.spoiled_right


def build_reference(settings: ScorerSettings, item: Mapping[str, Any]) -> str:
    """Return the response that repeats an item's reference."""
    if isinstance(settings, (ExactMatchSettings, FinalNumberSettings)):
        return read_texts(item, settings.answer_field)[0]
    if settings.reference_field is None:
        raise DataError("python_tests without reference_field has no reference to check; name the field")
    return read_text(item, settings.reference_field)


def spoil_reference(settings: ScorerSettings, pair: Pair) -> str:
    """Return a response that must be wrong: another text, the number plus one, a function that only raises."""
    if isinstance(settings, ExactMatchSettings):
        return "not " + build_reference(settings, pair[0])
    if isinstance(settings, FinalNumberSettings):
        marker = settings.markers[0] + " " if settings.markers else ""
        return f"{marker}{float(read_reference(settings, pair) + 1):.10g}"
    if settings.form == "program":
        name = read_text(pair[0], settings.entry_point_field)
        return f"def {name}(*given, **named):\n    raise NotImplementedError\n"
    return "    raise NotImplementedError\n"


def check_references(
    declaration: BenchmarkDeclaration, items: Iterable[Mapping[str, Any]], *, workers: int = 1
) -> ReferenceCheck:
    """Score every item's reference and a spoiled copy of it by the benchmark's own scorer.

    Raises DataError for a judged benchmark, and for an item without a reference.
    """
    settings = declaration.scoring
    if settings is None:
        raise DataError("a judged benchmark has no right answers to check")
    listed = list(items)
    right = [(item, _response(item, build_reference(settings, item))) for item in listed]
    spoiled = [(pair[0], _response(pair[0], spoil_reference(settings, pair))) for pair in right]
    scored = score_pairs(settings, right, workers)
    first, second = _passed(scored), _passed(score_pairs(settings, spoiled, workers))
    names = [str(item["id"]) for item in listed]
    return ReferenceCheck(
        items=len(names),
        reference_right=len(first),
        reference_wrong=tuple(name for name in names if name not in first),
        spoiled_right=tuple(name for name in names if name in second),
        unsolvable=scored.unsolvable,
    )


def _response(item: Mapping[str, Any], text: str) -> Response:
    return Response(str(item["id"]), [""], responses=[text], finish_reasons=["stop"])


def _passed(scored: Scored) -> set[str]:
    return {score.item for score in scored.scores if score.score == 1}
