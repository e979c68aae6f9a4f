"""The proof that a scorer is right: reference answers pass, and a spoiled copy of each fails."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.machine import SandboxRequirement
from mixlab.config.problems import DataError
from mixlab.config.scorers import (
    ExactMatchSettings,
    FinalNumberSettings,
    LetterChoiceSettings,
    LmEvalScorerSettings,
    MathAnswerSettings,
    ScorerSettings,
    WordChoiceSettings,
)
from mixlab.evaluation.scorers import final_number, math_answer
from mixlab.evaluation.scorers.score import Pair, Scored, read_text, read_texts
from mixlab.evaluation.scoring import score_pairs
from mixlab.generation.choices import LETTERS, find_right, list_options
from mixlab.generation.responses import Response

_PART = 64


@dataclass
class ReferenceCheck:
    """What became of a benchmark's reference answers.

    `reference_wrong` names the items whose reference fails, `spoiled_right` those whose spoiled copy passes; the first
    must equal the unsolvable items and the second must be empty for the scorer to be right.
    """

    items: int = 0
    reference_right: int = 0
    reference_wrong: tuple[str, ...] = ()
    spoiled_right: tuple[str, ...] = ()
    unsolvable: Mapping[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether references fail only where nobody can succeed, and every spoiled copy fails."""
        return self.items > 0 and set(self.reference_wrong) == set(self.unsolvable) and not self.spoiled_right


def build_reference(settings: ScorerSettings, item: Mapping[str, Any]) -> str:
    """Return the response that repeats an item's reference."""
    if isinstance(settings, LetterChoiceSettings):
        return find_right(settings.options, item)[0]
    if isinstance(settings, (ExactMatchSettings, FinalNumberSettings, WordChoiceSettings, MathAnswerSettings)):
        return read_texts(item, settings.answer_field)[0]
    if isinstance(settings, LmEvalScorerSettings):
        raise DataError("a task of lm-eval names no response that must be right")
    if settings.reference_field is None:
        raise DataError("python_tests without reference_field has no reference to check; name the field")
    return read_text(item, settings.reference_field)


def spoil_reference(settings: ScorerSettings, pair: Pair) -> str:
    """Return a response that must be wrong.

    Another text, another option or word, the number or the expression plus one, code that only raises.
    """
    item = pair[0]
    if isinstance(settings, ExactMatchSettings):
        return "not " + build_reference(settings, item)
    if isinstance(settings, FinalNumberSettings):
        marker = settings.markers[0] + " " if settings.markers else ""
        return f"{marker}{float(final_number.read_reference(settings, pair) + 1):.10g}"
    if isinstance(settings, LetterChoiceSettings):
        right, count = find_right(settings.options, item), len(list_options(settings.options, item))
        # where every option is right there is no wrong one: then the letter of none
        return next((letter for letter in LETTERS[:count] if letter not in right), LETTERS[-1])
    if isinstance(settings, WordChoiceSettings):
        return next(words[0] for answer, words in settings.words.items() if answer != build_reference(settings, item))
    if isinstance(settings, MathAnswerSettings):
        return rf"\boxed{{{math_answer.read_reference(settings, pair)}+1}}"
    if isinstance(settings, LmEvalScorerSettings):
        raise DataError("a task of lm-eval names no response that must be wrong")
    if settings.form == "program":
        name = read_text(item, settings.entry_point_field) if settings.tests == "check" else "spoiled"
        return f"def {name}(*given, **named):\n    raise NotImplementedError\n"
    return "    raise NotImplementedError\n"


def check_references(
    declaration: BenchmarkDeclaration,
    items: Iterable[Mapping[str, Any]],
    *,
    workers: int = 1,
    require: SandboxRequirement = "any",
    on_items: Callable[[int], object] = lambda count: None,
) -> ReferenceCheck:
    """Score every item's reference and a spoiled copy of it by the benchmark's own scorer.

    `on_items` hears how many more items were checked. Raises DataError for a judged benchmark, and for an item without
    a reference.
    """
    settings = declaration.scoring
    if settings is None:
        raise DataError("a judged benchmark has no right answers to check")
    listed, check = list(items), ReferenceCheck()
    for start in range(0, len(listed), _PART):
        part = listed[start : start + _PART]
        _check_part(settings, part, check, workers, require)
        on_items(len(part))
    return check


def _check_part(
    settings: ScorerSettings,
    items: Sequence[Mapping[str, Any]],
    check: ReferenceCheck,
    workers: int,
    require: SandboxRequirement,
) -> None:
    right = [(item, _response(item, build_reference(settings, item))) for item in items]
    spoiled = [(pair[0], _response(pair[0], spoil_reference(settings, pair))) for pair in right]
    # side by side in one call, so that the sandbox is started once
    scored = score_pairs(settings, [*right, *spoiled], workers, require)
    first = _passed(Scored(scored.scores[: len(right)], {}))
    second = _passed(Scored(scored.scores[len(right) :], {}))
    names = [str(item["id"]) for item in items]
    check.items += len(names)
    check.reference_right += len(first)
    check.reference_wrong += tuple(name for name in names if name not in first)
    check.spoiled_right += tuple(name for name in names if name in second)
    check.unsolvable = {**check.unsolvable, **scored.unsolvable}


def _response(item: Mapping[str, Any], text: str) -> Response:
    return Response(str(item["id"]), [""], responses=[text], finish_reasons=["stop"])


def _passed(scored: Scored) -> set[str]:
    return {score.item for score in scored.scores if score.score == 1}
