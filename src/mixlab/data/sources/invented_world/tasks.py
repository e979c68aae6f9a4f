"""The four skills: every distinct task there is, and which of them are held out."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations, product
from types import ModuleType

from mixlab.data.sources.invented_world import wordings_en, wordings_ja
from mixlab.data.sources.invented_world.people import FACTS, Person, World

LANGUAGES: dict[str, ModuleType] = {"en": wordings_en, "ja": wordings_ja}
HELD_OUT_ONE_IN = 4
"""Of the tasks without a person, one in so many is a benchmark's: those whose prompts have the smallest digests."""
_OPERANDS = range(1, 6)
_CONSTANTS = range(2, 10)


@dataclass(frozen=True)
class Task:
    """One prompt with its right response, and what a scorer needs: `answer`, or `entry_point` and `test`."""

    prompt: str
    response: str
    item: dict[str, str] = field(hash=False)
    subject: str = ""


def prompt_digest(*parts: object) -> str:
    """A fixed pseudo-random name of a prompt within a world."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()


def select_tasks(world: World, language: str, category: str, part: str, *, held_out: bool) -> list[Task]:
    """Every distinct task of a category that is held out, or that is not; strangers are always held out."""
    words = LANGUAGES[language]
    if category == "general":
        told = world.strangers if part == "strangers" else world.held_out if held_out else world.taught
        return list(_questions(words, language, told))
    every = {"math": _sums, "reasoning": _orders, "code": _functions}[category](words)
    # by rank, not by remainder: every world then has equally many, and a study's sizes fit each of its seeds
    ranked = sorted(every, key=lambda task: prompt_digest("split", world.seed, task.prompt))
    asked = len(ranked) // HELD_OUT_ONE_IN
    return ranked[:asked] if held_out else ranked[asked:]


def _questions(words: ModuleType, language: str, people: tuple[Person, ...]) -> Iterator[Task]:
    for person, fact in product(people, FACTS):
        name, value = person.names[language], person.value(fact, language)
        for wording in words.QUESTIONS[fact]:
            yield Task(wording.format(name=name), words.ANSWER.format(value=value), {"answer": value}, f"{name}/{fact}")


def _sums(words: ModuleType) -> Iterator[Task]:
    for (thing, unit), a, b, at in product(words.THINGS, _OPERANDS, _OPERANDS, range(len(words.SUMS))):
        story = words.SUMS[at].format(thing=thing, unit=unit, a=a, b=b)
        yield Task(story, f"{a}+{b}={a + b}", {"answer": str(a + b)})
        if a >= b:
            story = words.DIFFERENCES[at].format(thing=thing, unit=unit, a=a, b=b)
            yield Task(story, f"{a}-{b}={a - b}", {"answer": str(a - b)})


def _orders(words: ModuleType) -> Iterator[Task]:
    for digits in permutations(range(10), 3):
        for direction, wordings in words.ORDERS.items():
            answer = "".join(str(digit) for digit in sorted(digits, reverse=direction == "down"))
            for wording in wordings:
                yield Task(wording.format(digits="".join(map(str, digits))), answer, {"answer": answer})


def _functions(words: ModuleType) -> Iterator[Task]:
    for (expression, what), c, frame in product(words.EXPRESSIONS.items(), _CONSTANTS, words.FRAMES):
        code = expression.format(c=c)
        item = {"entry_point": "f", "test": _test(code, c)}
        yield Task(frame.format(what=what.format(c=c)), f"def f(x): return {code}", item)


def _test(code: str, c: int) -> str:
    # inputs around the constant tell every two of the operations apart
    inputs = (0, 1, c - 1, c, c + 1, 2 * c + 1, 23)
    lines = [f"    assert candidate({x}) == {eval(code, {'max': max, 'min': min}, {'x': x})}" for x in inputs]
    return "\n".join(["def check(candidate):", *lines]) + "\n"
