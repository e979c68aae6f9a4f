"""Reads files of published judge prompts; every problem with its file, line, template and cure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.config.judge_templates import (
    PLACES,
    PublishedFormat,
    PublishedPrompts,
    PublishedTemplate,
    find_rating_problem,
    find_template_problems,
)
from mixlab.config.loading import Document, load_document
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.wording import render_value

SINGLE = {
    "first": "single-v1",
    "first_with_reference": "single-math-v1",
    "later": "single-v1-multi-turn",
    "later_with_reference": "single-math-v1-multi-turn",
}
"""Our name of a template -> its name in both formats."""

FASTCHAT_RATINGS = (r"\[\[(\d+(?:\.\d*)?)\]\]", r"\[(\d+(?:\.\d*)?)\]")
"""What FastChat reads a rating by, and where that finds none (`one_score_pattern` and its backup in common.py)."""
_RATING_FORMS = ("[[rating]]", "[[評価]]")


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
    wanted = {ours: name for ours, name in SINGLE.items() if turns > 1 or ours.startswith("first")}
    problems = [_missing(path, name, entries, turns) for name in wanted.values() if name not in entries]
    built = {}
    for ours, name in wanted.items():
        if name in entries:
            found = list(_find_problems(entries[name], form, *PLACES[ours]))
            problems += found
            if not found:
                built[ours] = _build(entries[name])
    problems += _find_other_ratings([entries[name] for name in wanted.values() if name in entries], form)
    if problems:
        raise ConfigError(problems)
    ratings = FASTCHAT_RATINGS if form == "fastchat" else (entries[SINGLE["first"]].fields["regex"],)
    return PublishedPrompts(**built, ratings=ratings)


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
    except (ValueError, RecursionError) as error:
        told = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        return f"no JSON ({told}); FastChat's file has one object a line"
    name = fields.get("name") if isinstance(fields, dict) else None
    if not isinstance(name, str):
        return (
            f"expected an object with the field `name`, got {render_value(fields)}; see FastChat's judge_prompts.jsonl"
        )
    if name in entries:
        return f"template '{name}' stands on line {entries[name].line} already; remove one of them"
    entries[name] = Entry(name, fields, file, number, {})
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


def _missing(path: Path, name: str, entries: Mapping[str, Entry], turns: int) -> Problem:
    has = ", ".join(entries) or "none"
    hint = did_you_mean(name, [other for other in entries if other not in SINGLE.values()])
    firsts = all(SINGLE[ours] in entries for ours in SINGLE if ours.startswith("first"))
    cure = "add it, or name another file as `published`"
    if turns > 1 and firsts:
        cure = "write `turns: 1` to rate first turns alone, or name another file as `published`"
    return Problem(f"there is no template '{name}'{hint} (templates: {has}); {cure}", str(path), key=name)


def _find_problems(entry: Entry, form: PublishedFormat, needed: set[str], optional: set[str]) -> Iterator[Problem]:
    rating = "output_format" if form == "fastchat" else "regex"
    for field in ("system_prompt", "prompt_template", rating):
        value = entry.fields.get(field)
        if not isinstance(value, str) or not value:
            got = "is missing" if field not in entry.fields else f"got {render_value(value)}"
            yield entry.problem(field, f"must be a text, {got}; see the file as it was published")
        elif field == "prompt_template":
            for told in find_template_problems(value, needed, optional):
                yield entry.problem(field, f"{told}; see the file as it was published")
        elif field == "regex" and (told := find_rating_problem(value)):
            yield entry.problem(field, f"{told}; see the file as it was published")
        elif field == "output_format" and value not in _RATING_FORMS:
            yield entry.problem(field, f"expected {' or '.join(_RATING_FORMS)}, got {value!r}: ratings have one form")
    kind = entry.fields.get("type", "single" if form == "llm_jp_judge" else None)
    if kind != "single":
        yield entry.problem("type", f"expected single, got {render_value(kind)}: one answer is rated here")


def _find_other_ratings(entries: list[Entry], form: PublishedFormat) -> Iterator[Problem]:
    """Find templates whose ratings are read by another regular expression than those of the first."""
    if form == "llm_jp_judge":
        for entry in entries[1:]:
            if entry.fields.get("regex") != entries[0].fields.get("regex"):
                told = f"is another one than that of '{entries[0].name}'; all replies of a judge are read alike"
                yield entry.problem("regex", told)


def _build(entry: Entry) -> PublishedTemplate:
    return PublishedTemplate(system=entry.fields["system_prompt"], template=entry.fields["prompt_template"])
