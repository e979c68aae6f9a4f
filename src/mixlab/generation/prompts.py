"""From a benchmark item to the prompt of each turn."""

import ast
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mixlab.config.generation import CATEGORY, OPTIONS, PromptSettings
from mixlab.config.problems import DataError, Problem, did_you_mean
from mixlab.data.records import Message
from mixlab.data.tokens.chat import render_prompt
from mixlab.generation.choices import render_options

_LOST_BREAK = re.compile(r"^(\"\"\"|\'\'\')(?=(?:def|class|import|from)\s)", re.MULTILINE)


def is_python(source: str) -> bool:
    """Whether `source` can be compiled, without running any of it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def repair_python_prompt(prompt: str) -> str:
    """Insert the line break a published Python prompt lacks between a string and the statement after it.

    JHumanEval/64 reads `Add more test cases.\\n\"\"\"def vowels_count(s):`. What is valid as it is, and what the break
    does not make valid, is returned unchanged.
    """
    if is_python(prompt):
        return prompt
    repaired = _LOST_BREAK.sub(r"\1\n\n", prompt)
    return repaired if is_python(repaired) else prompt


def check_items(settings: PromptSettings, items: Sequence[Mapping[str, Any]], special_tokens: Collection[str]) -> None:
    """Raise DataError naming every item that cannot be asked.

    It has no id or one used twice, a missing or wrong field, a category without a temperature where categories have
    their own, or in the chat format a special token in its text.
    """
    problems = []
    seen: set[str] = set()
    for number, item in enumerate(items, start=1):
        name = item.get("id")
        where = f"item {number} ({name})"
        if not isinstance(name, str) or not name or name in seen:
            problems.append(Problem(f"id is {name!r}; every item needs an id of its own", key=where))
        seen.add(str(name))
        for field in sorted(settings.item_fields()):
            value = item.get(field)
            is_list = field == settings.turns or (isinstance(value, list) and _is_listed(settings, field))
            texts = value if is_list else [value]
            if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
                wanted = "a list of texts" if is_list else "a text"
                problems.append(Problem(f"{field} must be {wanted}, got {value!r:.80}", key=where))
            elif settings.chat and (held := [t for t in special_tokens if any(t in text for text in texts)]):
                problems.append(Problem(f"{field} holds the special token {held[0]} as text; remove it", key=where))
        problems += [Problem(told, key=where) for told in _find_unknown_category(settings, item)]
    if problems:
        raise DataError(problems)


def _find_unknown_category(settings: PromptSettings, item: Mapping[str, Any]) -> list[str]:
    known, category = settings.sampling.category_temperatures, item.get(CATEGORY)
    if known is None or not isinstance(category, str) or category in known:
        return []
    told = f"category {category!r} has no temperature{did_you_mean(category, known)} (there are: {', '.join(known)})"
    return [f"{told}; mend the item, or set the benchmark's temperature in the study, which then holds for all items"]


def _is_listed(settings: PromptSettings, field: str) -> bool:
    """Whether a field may hold all options of a choice as a list."""
    return settings.options is not None and settings.options.fields == (field,)


def render_turns(settings: PromptSettings, item: Mapping[str, Any]) -> list[str]:
    """Render what the user says in each turn of `item`."""
    made = {OPTIONS: render_options(settings.options, item)} if settings.options is not None else {}
    names = settings.placeholders() - set(made) - ({"turn"} if settings.turns is not None else set())
    values = {name: item[name] for name in names} | made
    if settings.repair_prompts:
        values = {name: repair_python_prompt(value) for name, value in values.items()}
    if settings.turns is None:
        return [settings.render(values)]
    return [settings.render({**values, "turn": turn}) for turn in item[settings.turns]]


def render_full_prompt(settings: PromptSettings, turns: Sequence[str], answers: Sequence[str]) -> str:
    """Render the whole prompt of the turn after `answers`: examples, what was said so far, and the new turn.

    Raises ValueError where the chat format is wanted but no template was filled in.
    """
    if not settings.chat:
        shown = [example.user + example.assistant for example in settings.examples]
        return settings.example_separator.join([*shown, turns[0]])
    if settings.chat_template is None:
        raise ValueError("chat is true but chat_template is not filled in; use PromptSettings.with_chat_template")
    return render_prompt(build_dialogue(settings, turns, answers), settings.chat_template)


def build_dialogue(settings: PromptSettings, turns: Sequence[str], answers: Sequence[str]) -> list[Message]:
    """Return the messages up to the turn after `answers`: system, examples, what was said so far, and the new turn."""
    messages: list[Message] = []
    if settings.system is not None:
        messages.append({"role": "system", "content": settings.system})
    for example in settings.examples:
        messages.append({"role": "user", "content": example.user})
        messages.append({"role": "assistant", "content": example.assistant})
    for turn, answer in zip(turns, answers, strict=False):
        messages.append({"role": "user", "content": turn})
        messages.append({"role": "assistant", "content": answer})
    messages.append({"role": "user", "content": turns[len(answers)]})
    return messages
