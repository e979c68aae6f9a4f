"""The rule judge: a stated rule in the place of a language model, so that judging runs anywhere and repeats exactly.

It is text in, text out, like a language model: it reads the rendered judge prompt, finds the question, the reference
and the answer between their marks, and replies with a sentence and `Rating: [[7]]`. The rule is in `RuleSettings`.
"""

import re
import unicodedata
from collections import Counter

from mixlab.config.judging import RuleSettings
from mixlab.config.sources import Language
from mixlab.evaluation.scorers.numbers import find_numbers

_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_LETTER = re.compile(r"[^\W\d_]")

HIGHEST, LOWEST = 10, 1


def read_section(prompt: str, name: str) -> str | None:
    """Return the text between `<name>` and `</name>`, or None."""
    found = re.search(rf"<{name}>\n?(.*?)\n?</{name}>", prompt, re.DOTALL)
    return found[1] if found else None


def _fold(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip(" .。")


def _count_pairs(text: str) -> Counter[str]:
    padded = f" {text} "
    return Counter(padded[at : at + 2] for at in range(len(padded) - 1))


def measure_overlap(text: str, reference: str) -> float:
    """Return the F1 of the character pairs two folded texts share, from 0 to 1."""
    first, second = _count_pairs(text), _count_pairs(reference)
    return 2 * (first & second).total() / (first.total() + second.total())


def is_in_language(text: str, language: Language) -> bool:
    """Whether a text's letters fit `language`; a text without letters fits any.

    Japanese: at least a fifth of the letters are kana or kanji. English: fewer are.
    """
    letters = len(_LETTER.findall(text))
    share = len(_JAPANESE.findall(text)) / letters if letters else 0.0
    return not letters or (share >= 0.2) == (language == "ja")


class RuleJudge:
    """Rates by the rule in `settings`, for questions in `language`."""

    def __init__(self, settings: RuleSettings, language: Language) -> None:
        self._settings = settings
        self._language: Language = language

    def reply(self, system: str, prompt: str) -> str:
        """Return the judge's reply to a rendered judge prompt; the same text always gets the same reply.

        A prompt without a marked answer gets a reply without a rating.
        """
        answer, reference = read_section(prompt, "answer"), read_section(prompt, "reference")
        if answer is None:
            return "There is no answer to rate."
        if not answer.strip():
            return f"The answer is empty. Rating: [[{LOWEST}]]"
        if reference is None:
            quality, why = self._rate_alone(_fold(answer))
        else:
            quality, why = self._rate_against(_fold(answer), _fold(reference))
        rating = LOWEST + round((HIGHEST - LOWEST) * quality)
        if not is_in_language(answer, self._language):
            rating, why = rating - self._settings.language_penalty, f"{why}, in the wrong language"
        return f"The answer {why}. Rating: [[{max(LOWEST, rating)}]]"

    def _rate_against(self, answer: str, reference: str) -> tuple[float, str]:
        if answer == reference:
            return 1.0, "equals the reference"
        overlap = measure_overlap(answer, reference)
        numbers, wanted = find_numbers(answer), find_numbers(reference)
        ends_in_number = bool(wanted) and reference[-1].isdigit()
        if ends_in_number and numbers and numbers[-1] == wanted[-1]:
            return max(overlap, self._settings.same_number), "ends in the reference's number"
        return overlap, f"shares {overlap:.2f} of the reference's character pairs"

    def _rate_alone(self, answer: str) -> tuple[float, str]:
        pairs = _count_pairs(answer)
        variety = len(pairs) / pairs.total()
        length = min(1.0, len(answer) / self._settings.full_characters)
        return variety * length, f"has variety {variety:.2f} and length {length:.2f} (there is no reference)"
