"""Reads files of published judge prompts; every problem with its file, line, template and cure."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.config.judge_templates import (
    PAIR_PLACES,
    PLACES,
    Places,
    PublishedFormat,
    PublishedPairPrompts,
    PublishedPrompts,
    PublishedTemplate,
    find_rating_problem,
    find_template_problems,
)
from mixlab.config.loading import Document, load_document
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.wording import render_value

_OURS = ("first", "first_with_reference", "later", "later_with_reference")
SINGLE = dict(
    zip(_OURS, ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn"), strict=True)
)
"""Our name of a template that rates one answer -> its name in both formats."""
PAIR = dict(zip(_OURS, ("pair-v2", "pair-math-v1", "pair-v2-multi-turn", "pair-math-v1-multi-turn"), strict=True))
"""The same of those that compare two, which FastChat alone has."""

FASTCHAT_RATINGS = (r"\[\[(\d+(?:\.\d*)?)\]\]", r"\[(\d+(?:\.\d*)?)\]")
"""What FastChat reads a rating by, and where that finds none (`one_score_pattern` and its backup in common.py)."""


@dataclass(frozen=True)
class _Kind:
    """What templates are for: their names and places, `type`, and what `output_format` may be."""

    names: Mapping[str, str]
    places: Places
    type: str
    outputs: tuple[str, ...]


_RATING = _Kind(SINGLE, PLACES, "single", ("[[rating]]", "[[評価]]"))
_PREFERENCE = _Kind(PAIR, PAIR_PLACES, "pairwise", ("[[A]]",))


@dataclass(frozen=True)
class Entry:
    """One template of a file: its fields as they are written, and the lines of those; 0 is that of the whole."""

    name: str
    fields: Mapping[str, Any]
    file: str
    line: int
    lines: Mapping[str, int]

    def problem(self, field: str, message: str) -> Problem:
        """Build a problem with the address of a field."""
        return Problem(message, self.file, self.lines.get(field, self.line), f"{self.name}.{field}")


def read_published_prompts(path: Path, form: PublishedFormat, turns: int) -> PublishedPrompts:
    """Read the templates that rate single answers in so many turns.

    Raises ConfigError with every problem: a file that cannot be read, a template that is missing, wrong or twice there.
    """
    entries = read_entries(path, form)
    built = _build_all(path, entries, form, turns, _RATING)
    ratings = FASTCHAT_RATINGS if form == "fastchat" else (entries[SINGLE["first"]].fields["regex"],)
    return PublishedPrompts(**built, ratings=ratings)


def read_published_pair_prompts(path: Path, form: PublishedFormat, turns: int) -> PublishedPairPrompts:
    """Read the templates that compare two answers in so many turns; raises ConfigError with every problem."""
    if form != "fastchat":
        raise ConfigError(
            Problem(f"{form} has no templates that compare two answers; name a file of fastchat", str(path))
        )
    return PublishedPairPrompts(**_build_all(path, read_entries(path, form), form, turns, _PREFERENCE))


def _build_all(
    path: Path, entries: Mapping[str, Entry], form: PublishedFormat, turns: int, kind: _Kind
) -> dict[str, PublishedTemplate]:
    wanted = {ours: name for ours, name in kind.names.items() if turns > 1 or ours.startswith("first")}
    problems = [_missing(path, name, entries, turns, kind) for name in wanted.values() if name not in entries]
    there = {ours: entries[name] for ours, name in wanted.items() if name in entries}
    for ours, entry in there.items():
        problems += _find_problems(entry, form, kind, ours)
    problems += _find_other_ratings(list(there.values()), form)
    if problems:
        raise ConfigError(problems)
    return {ours: _build(entry) for ours, entry in there.items()}


def read_entries(path: Path, form: PublishedFormat) -> dict[str, Entry]:
    """Read every template of a file, whatever it is for; raises ConfigError."""
    return _read_fastchat(path) if form == "fastchat" else _read_llm_jp_judge(path)


def _read_fastchat(path: Path) -> dict[str, Entry]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(Problem(f"cannot be read: {error.strerror}", str(path))) from None
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(f"not UTF-8 ({error.reason}); save the file as UTF-8", str(path))) from None
    entries: dict[str, Entry] = {}
    problems = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        told = _add_fastchat(entries, line, str(path), number)
        problems += [Problem(told, str(path), number)] if told else []
    if problems:
        raise ConfigError(problems)
    return entries


def _add_fastchat(entries: dict[str, Entry], line: str, file: str, number: int) -> str | None:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        return f"no JSON ({error.msg}); FastChat's file has one object a line"
    except RecursionError:
        return "nested too deep to be read; FastChat's file has one object a line, whose fields are texts"
    except ValueError:
        return (
            f"has a number of more than {sys.get_int_max_str_digits():,} digits, which is not read; FastChat's file "
            "has one object a line, whose fields are texts"
        )
    name = fields.get("name") if isinstance(fields, dict) else None
    if not isinstance(name, str):
        return (
            f"expected an object with the field `name`, got {render_value(fields)}; see FastChat's judge_prompts.jsonl"
        )
    if half := _find_half(name):
        return f"the field `name` {half}"
    if name in entries:
        return f"template '{name}' stands on line {entries[name].line} already; remove one of them"
    entries[name] = Entry(name, fields, file, number, {})
    return None


def _find_half(text: str) -> str | None:
    """Say what keeps a text from being written as UTF-8; JSON may spell half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = f"{ord(text[error.start]):04x}"
        return f"holds \\u{code}, half of a surrogate pair, which is no character; write both halves, or remove it"
    return None


def _read_llm_jp_judge(path: Path) -> dict[str, Entry]:
    document = load_document(path)
    entries = {}
    for name, fields in document.data.items():
        line = document.address((name,)).line
        if isinstance(fields, dict):
            entries[name] = Entry(name, fields, str(path), line, _find_lines(document, name, fields))
        else:
            message = f"expected a template with regex, prompt_template and system_prompt, got {render_value(fields)}"
            raise ConfigError(Problem(message, str(path), line, name))
    return entries


def _find_lines(document: Document, name: str, fields: Mapping[str, Any]) -> dict[str, int]:
    return {field: document.address((name, field)).line for field in fields}


def _missing(path: Path, name: str, entries: Mapping[str, Entry], turns: int, kind: _Kind) -> Problem:
    has = ", ".join(entries) or "none"
    hint = did_you_mean(name, [other for other in entries if other not in {*SINGLE.values(), *PAIR.values()}])
    firsts = all(kind.names[ours] in entries for ours in _OURS[:2])
    cure = "add it, or name another file as `published`"
    if turns > 1 and firsts:
        cure = "write `turns: 1` to judge first turns alone, or name another file as `published`"
    return Problem(f"there is no template '{name}'{hint} (templates: {has}); {cure}", str(path), key=name)


def _find_problems(entry: Entry, form: PublishedFormat, kind: _Kind, ours: str) -> Iterator[Problem]:
    reading = "output_format" if form == "fastchat" else "regex"
    for field in ("system_prompt", "prompt_template", reading):
        value = entry.fields.get(field)
        if not isinstance(value, str) or not value:
            got = "is missing" if field not in entry.fields else f"got {render_value(value)}"
            yield entry.problem(field, f"must be a text, {got}; see the file as it was published")
        elif half := _find_half(value):
            yield entry.problem(field, half)
        elif field == "prompt_template":
            for told in find_template_problems(value, *kind.places[ours]):
                yield entry.problem(field, f"{told}; see the file as it was published")
        elif field == "regex" and (wrong := find_rating_problem(value)):
            yield entry.problem(field, f"{wrong}; see the file as it was published")
        elif field == "output_format" and value not in kind.outputs:
            yield entry.problem(field, f"expected {' or '.join(kind.outputs)}, got {value!r}: no other is read here")
    given = entry.fields.get("type", kind.type if form == "llm_jp_judge" else None)
    if given != kind.type:
        yield entry.problem("type", f"expected {kind.type}, got {render_value(given)}")


def _find_other_ratings(entries: list[Entry], form: PublishedFormat) -> Iterator[Problem]:
    """Find templates whose ratings are read by another regular expression than those of the first."""
    if form == "llm_jp_judge":
        for entry in entries[1:]:
            if entry.fields.get("regex") != entries[0].fields.get("regex"):
                told = f"is another one than that of '{entries[0].name}'; all replies of a judge are read alike"
                yield entry.problem("regex", told)


def _build(entry: Entry) -> PublishedTemplate:
    return PublishedTemplate(system=entry.fields["system_prompt"], template=entry.fields["prompt_template"])
