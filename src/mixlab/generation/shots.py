"""Worked examples that are items of another source, such as MMLU's five per subject."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mixlab.config.generation import Example, PromptSettings
from mixlab.config.problems import DataError, Problem
from mixlab.generation.choices import find_right
from mixlab.generation.prompts import check_items, render_turns

LETTER = "letter"


def place_shots(
    settings: PromptSettings,
    items: Iterable[Mapping[str, Any]],
    pool: Iterable[Mapping[str, Any]],
    special_tokens: Collection[str],
) -> list[PromptSettings]:
    """Return for each item the settings with its examples in them: the first of `pool` that are of its group.

    An item is never its own example. Settings without `shots` are returned as they are. Raises DataError naming every
    group with too few examples, and every example that cannot be shown.
    """
    shots, asked = settings.shots, list(items)
    if shots is None:
        return [settings] * len(asked)
    shown = list(pool)
    check_items(settings, shown, special_tokens)
    groups: dict[str, list[Example]] = {}
    for one in shown:
        groups.setdefault(_group(settings, one), []).append(_build_example(settings, one))
    placed, problems = [], {}
    for item in asked:
        group = _group(settings, item)
        (question,) = render_turns(settings, item)
        chosen = [one for one in groups.get(group, []) if one.user != question][: shots.count]
        if len(chosen) < shots.count:
            where = f"{shots.by} {group}" if shots.by is not None else "examples"
            problems[where] = Problem(
                f"has {len(chosen)} worked examples, but {shots.count} are to be shown", key=where
            )
        placed.append(settings.model_copy(update={"examples": (*settings.examples, *chosen)}))
    if problems:
        raise DataError([problems[where] for where in sorted(problems)])
    return placed


def _group(settings: PromptSettings, item: Mapping[str, Any]) -> str:
    by = settings.shots.by if settings.shots is not None else None
    return str(item[by]) if by is not None else ""


def _build_example(settings: PromptSettings, item: Mapping[str, Any]) -> Example:
    assert settings.shots is not None
    answer = settings.shots.answer
    values = {name: value for name, value in item.items() if isinstance(value, str)}
    if settings.options is not None:
        values[LETTER] = find_right(settings.options, item)[0]
    try:
        filled = settings.model_copy(update={"template": answer}).render(values)
    except KeyError as error:
        raise DataError(
            f"example '{item['id']}': the answer's template names {error}, which it does not have"
        ) from None
    (question,) = render_turns(settings, item)
    return Example(user=question, assistant=filled)
