"""Characters that nobody sees: dropped before texts are compared or searched, so that none of them hides a word.

Zero-width spaces, soft hyphens, byte order marks, marks of direction, variation selectors and the like:
Default_Ignorable_Code_Point of Unicode 15.1 (https://www.unicode.org/Public/15.1.0/ucd/DerivedCoreProperties.txt) and
the anchors of interlinear notes. Joiners stay where they shape what is seen: after a letter of Arabic, Syriac or an
Indic script, and inside an emoji.
"""

import re

INVISIBLE = (
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""First and last code points, joiners included."""

_JOINERS = "\u200c\u200d"
_JOINED_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_JOINED = "\u0620-\u074f\u0750-\u077f\u0840-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17ff\u1820-\u18af"
_ALWAYS = "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in INVISIBLE if first != 0x200B)
_DROPPED = re.compile(
    rf"[{_ALWAYS}\u200b\u200e\u200f]|[{_JOINERS}](?<![{_JOINED}{_JOINED_EMOJI}].)(?<![{_JOINED_EMOJI}]\ufe0f.)"
)


def drop_invisible(text: str) -> str:
    """Return a text without the characters that nobody sees."""
    return text if text.isascii() else _DROPPED.sub("", text)
