"""What extractors share: where the answer is announced, and how texts are compared. All of it takes linear time."""

import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def fold_width(text: str) -> str:
    """Return a text after NFKC: full-width letters, digits and punctuation are the plain ones."""
    return unicodedata.normalize("NFKC", text)


def find_marked(text: str, markers: Iterable[str]) -> Iterator[str]:
    """Yield what follows each marker up to the next one, the last first; case and width of letters aside.

    `text` must be folded by `fold_width`.
    """
    wanted = sorted({fold_width(marker).casefold() for marker in markers}, key=len, reverse=True)
    if not wanted:
        return
    # lower() of one letter may be two, which would move what follows: fold letter by letter where it stays one
    lowered = "".join(one if len(low := one.casefold()) != 1 else low for one in text)
    places = list(re.finditer("|".join(map(re.escape, wanted)), lowered))
    end = len(text)
    for place in reversed(places):
        yield text[place.end() : end]
        end = place.start()


def normalise_squad(text: str) -> str:
    """Return a text as SQuAD compares it: lower case, no ASCII punctuation, no articles, single spaces.

    Rajpurkar et al. 2016 (arXiv 1606.05250), section 6.1.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def first_line(text: str) -> str:
    """Return the first line that is not blank."""
    return next((line for line in text.splitlines() if line.strip()), "")


def find_balanced(text: str, commands: Sequence[str]) -> str | None:
    r"""Return what the last of some LaTeX commands holds: `\frac{1}{2}` of `\boxed{\frac{1}{2}}`.

    One without braces holds what follows it up to white space or `$`; one whose brace is never closed holds nothing.
    """
    found = None
    pattern = re.compile("(?:" + "|".join(map(re.escape, commands)) + r")(?![A-Za-z])\s{0,8}")
    at = 0
    while match := pattern.search(text, at):
        at = match.end()
        if text[at : at + 1] != "{":
            bare = re.compile(r"[^\s$]{1,200}").match(text, at)
            found = bare[0] if bare else found
            continue
        end = _closing_brace(text, at)
        if end is None:
            return found
        # a box within a box: the inner one is looked at next, and is the later one
        found, at = text[at + 1 : end], (at + 1 if pattern.search(text, at + 1, end) else end)
    return found


def _closing_brace(text: str, opening: int) -> int | None:
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, opening):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return None
