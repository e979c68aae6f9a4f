"""Takes a key out of what a server says, however it is spelled there."""

import re
from itertools import groupby

HIDDEN = "(hidden)"


class KeyHider:
    """Hides one key, or nothing where there is none; keys are printable ASCII."""

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._spelled = re.compile(_render_spellings(key)) if key else None

    def hide(self, text: str) -> str:
        """Return `text` without the key: neither as it is, nor as JSON or Python spell it, up to three times over."""
        if not self._key or self._spelled is None:
            return text
        text = text.replace(self._key, HIDDEN)
        return self._spelled.sub(HIDDEN, text) if "\\" in text else text


def _render_spellings(key: str) -> str:
    r"""Render a pattern of the key with its backslashes doubled, its quotes behind some, any character as \u0000."""
    return "".join(_render_run(one, len(list(run))) for one, run in groupby(key))


def _render_run(character: str, count: int) -> str:
    # escaped three times over, a backslash is eight
    escaped = rf"\\{{1,8}}u00(?i:{ord(character):02x})"
    if character == "\\":
        return rf"(?:\\{{{count},{8 * count}}}|(?:{escaped}){{{count}}})"
    plain = rf"\\{{0,7}}{character}" if character in "\"'/" else re.escape(character)
    return f"(?:{plain}|{escaped}){{{count}}}"
