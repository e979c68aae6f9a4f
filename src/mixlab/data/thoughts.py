"""Thoughts that a model writes before its answer, between <think> and </think>: they are no part of the answer."""

import re

OPEN, END = "<think>", "</think>"

_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")


def cut_thoughts(text: str) -> str:
    """Return `text` without its thoughts that are opened and closed; in linear time, as a regular expression is not."""
    kept, at = [], 0
    while (start := text.find(OPEN, at)) >= 0 and (end := text.find(END, start)) >= 0:
        kept.append(text[at:start])
        at = end + len(END)
    return "".join([*kept, text[at:]])


def strip_thoughts(text: str) -> str | None:
    """Return what stands behind the thoughts, or None where one is opened and never closed.

    Models whose chat template opens the thought write its end alone: what stands before that is thought as well.
    """
    rest = cut_thoughts(text)
    return None if OPEN in rest else rest.rpartition(END)[2]


def read_answer(text: str) -> str:
    """Return the answer that a response gives beside its thoughts: empty where a thought never ended.

    Blank lines behind a thought are of the thought; the indent of code that follows is not.
    """
    answer = strip_thoughts(text)
    return text if answer == text else _BLANK_LINES.sub("", answer or "")
