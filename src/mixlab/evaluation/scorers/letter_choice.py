"""The letter of the option that a response chooses: MMLU, CMMLU, JMMLU and TruthfulQA.

A record of MMLU: {"question": "Find the degree of the extension Q(sqrt(2), sqrt(3)) over Q.", "choices": ["0", "4",
"2", "6"], "answer": "1"}; the responses "B", "(B)", "The answer is (B)." and "答えはＢです" are right.

In this order: the letter right behind the last marker that one follows; a letter that stands alone at the start of the
first line (`B.`, `B is right`, `選択肢B`); the one letter that is said to be right in Japanese (`Bが正しい`), else the
one in parentheses, if all those in the response are the same. The letter of no option is no answer. The article A
and the pronoun I are no letters of options: `the answer is A dog`.
"""

import re
from collections.abc import Sequence

from mixlab.config.scorers import LetterChoiceSettings
from mixlab.evaluation.scorers.answers import find_marked, first_line, fold_width
from mixlab.evaluation.scorers.score import Pair, Score, Scored, describe_silence
from mixlab.generation.choices import LETTERS, find_right, list_options

_WRAPPED = (
    r"[\s\"'*_(\[{「『【$:]{0,8}(?:(?:option|choice|letter|選択肢|选项)[\s\"'*(\[:]{0,4})?(?:\\text\{|\\textbf\{)?"
)
_ENDED = r"(?=\s{0,4}(?:$|[\n.,;:!?)\]}」』】*_\"'$、。]))"
# a letter ends where no other follows: not the C of Cats, not the B of B2; Japanese and Chinese put no space behind
_WORD = r"(?![A-Za-z0-9'’\-])"
_MARKED = re.compile(rf"{_WRAPPED}(?:([A-Z]){_WORD}|([a-z]){_ENDED})")
_GOING_ON = r" {1,4}(?:is|because|since|as|and|but|so)\b"
_ALONE = re.compile(
    rf"[\s\"'*_(\[{{「『【$]{{0,8}}(?:(?i:option|choice|選択肢|选项) {{0,4}}[(]?)?(?:\\text\{{)?"
    rf"(?:([A-Z])(?={_GOING_ON})|([A-Za-z]){_ENDED})"
)
_GOES_ON = re.compile(_GOING_ON)
_NEXT_WORD = re.compile(r" {1,4}[A-Za-z]")
# but not Bが正しいとは限らない nor Bが正しいわけではない
_SAID_RIGHT = re.compile(
    r"(?<![A-Za-z0-9])([A-Z])[)」』]?が(?:正しい|正解|正答|適切)(?=です(?!か)|である|だ|と(?:思|考)|[\s.,。、!)」』]|$)"
)
_PARENTHESES = re.compile(r"\(([A-Z])\)")


def extract_letter(text: str, markers: Sequence[str]) -> str | None:
    """Return the letter, in upper case, that a text gives as its answer, or None."""
    plain = fold_width(text)
    for behind in find_marked(plain, markers):
        if (found := _MARKED.match(behind)) and not _is_word(behind, found):
            return str(found[1] or found[2]).upper()
    if found := _ALONE.match(first_line(plain)):
        return str(found[1] or found[2]).upper()
    for pattern in (_SAID_RIGHT, _PARENTHESES):
        if found_ones := set(pattern.findall(plain)):
            return found_ones.pop() if len(found_ones) == 1 else None
    return None


def _is_word(text: str, found: re.Match[str]) -> bool:
    """Whether the letter is the article or the pronoun: `the answer is A dog`, `the answer is I think`."""
    if found[1] not in ("A", "I") or _GOES_ON.match(text, found.end()):
        return False
    return _NEXT_WORD.match(text, found.end()) is not None


def score_letter_choice(settings: LetterChoiceSettings, pairs: Sequence[Pair]) -> Scored:
    """Score each response 1 when its letter is that of a right option, else 0."""
    scores = []
    for item, response in pairs:
        right = find_right(settings.options, item)
        known = LETTERS[: len(list_options(settings.options, item))]
        got = extract_letter(response.responses[-1], settings.markers)
        got = got if got is not None and got in known else None
        scores.append(
            Score(
                item=response.item,
                score=float(got in right),
                parsed=got is not None,
                extracted=got,
                note=describe_silence(response),
            )
        )
    return Scored(scores, {})
