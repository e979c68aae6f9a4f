"""From a world to the records of a source."""

import random
from collections import Counter
from collections.abc import Iterator

from mixlab.config.problems import DataError
from mixlab.config.sources import CATEGORIES, InventedWorld
from mixlab.data.records import Record
from mixlab.data.sources.invented_world.people import FACTS, World, build_world
from mixlab.data.sources.invented_world.tasks import LANGUAGES, Task, prompt_digest, select_tasks

_FILL_ONE_IN = 8
"""One raw document in so many tells of nobody."""


def generate_world_records(kind: str, options: InventedWorld, *, seed: int, size: int) -> Iterator[Record]:
    """Yield `size` records of the world.

    Instructions and benchmarks are distinct prompts in an order that `seed` decides, so that a smaller size is
    the beginning of a larger one. Raises DataError when there are fewer distinct prompts than `size`.
    """
    world = build_world(options.world_seed)
    if kind == "raw":
        return (_document(world, options.language, seed, at) for at in range(size))
    made = list(_dialogues(world, kind, options) if options.part == "dialogue" else _tasks(world, kind, options))
    if size > len(made):
        raise DataError(
            f"invented_world: size {size:,}, but there are {len(made):,} distinct prompts of {kind} "
            f"{options.language}/{options.category or 'all'} ({options.part}); lower `size`, and let a mixture repeat"
        )
    return iter(_in_order(made, f"{world.seed}/{seed}")[:size])


def _in_order(made: list[tuple[str, Record]], salt: str) -> list[Record]:
    """Order records by the digest of their prompt; of several categories, one after the other in turn."""
    made = sorted(made, key=lambda pair: prompt_digest("order", salt, pair[0]))
    ranks = Counter[str]()
    ranked = []
    for _, record in made:
        category = record.get("category", "")
        ranks[category] += 1
        ranked.append((ranks[category], category, record))
    return [record for _, _, record in sorted(ranked, key=lambda entry: entry[:2])]


def _document(world: World, language: str, seed: int, number: int) -> Record:
    """Raw document `number`: fill, then two or three facts of one person, or fill alone.

    Fill comes first: a name at the very beginning of an English text would be another token than inside a question.
    """
    stream = random.Random(f"{world.seed}/{language}/{seed}/{number}")
    words = LANGUAGES[language]
    sentences = [_fill(language, stream)]
    told, rest = divmod(number, _FILL_ONE_IN)
    if rest == _FILL_ONE_IN - 1:
        sentences += [_fill(language, stream) for _ in range(2)]
    else:
        person = world.people[(told * (_FILL_ONE_IN - 1) + rest) % len(world.people)]
        for fact in stream.sample(FACTS, stream.choice((2, 3, 3))):
            wording = stream.choice(words.STATEMENTS[fact])
            sentences.append(wording.format(name=person.names[language], value=person.value(fact, language)))
    text: str = words.JOINT.join(sentences)
    return {"text": text}


def _fill(language: str, stream: random.Random) -> str:
    between = " " if language == "en" else ""
    return between.join(stream.choice(words) for words in LANGUAGES[language].FILL)


def _tasks(world: World, kind: str, options: InventedWorld) -> Iterator[tuple[str, Record]]:
    category = options.category or ""
    held_out = kind == "benchmark"
    for task in select_tasks(world, options.language, category, options.part, held_out=held_out):
        if held_out:
            identity = {"id": prompt_digest(task.prompt)[:12], "category": category, "prompt": task.prompt}
            yield task.prompt, identity | {"solution": task.response} | task.item
        else:
            yield task.prompt, {"messages": _turns([task])}


def _dialogues(world: World, kind: str, options: InventedWorld) -> Iterator[tuple[str, Record]]:
    """Two turns each: a task, and another of the same category (general: about another fact of the same person)."""
    held_out = kind == "benchmark"
    for category in [options.category] if options.category else CATEGORIES:
        tasks = select_tasks(world, options.language, category, "tasks", held_out=held_out)
        for first, second in _paired(tasks, world.seed):
            key = f"{first.prompt}\n{second.prompt}"
            if not held_out:
                yield key, {"messages": _turns([first, second])}
                continue
            yield (
                key,
                {
                    "id": prompt_digest(key)[:12],
                    "category": category,
                    "turns": [first.prompt, second.prompt],
                    "reference": [first.response.strip(), second.response.strip()],
                },
            )


def _paired(tasks: list[Task], world_seed: int) -> Iterator[tuple[Task, Task]]:
    ordered = sorted(tasks, key=lambda task: prompt_digest("pair", world_seed, task.prompt))
    for at, first in enumerate(ordered):
        others = ordered[at + 1 :] + ordered[:at]
        if not first.subject:
            yield first, others[0]
            continue
        name = first.subject.split("/")[0]
        same = (task for task in others if task.subject.split("/")[0] == name and task.subject != first.subject)
        yield first, next(same)


def _turns(tasks: list[Task]) -> list[dict[str, str]]:
    return [
        turn
        for task in tasks
        for turn in (
            {"role": "user", "content": task.prompt},
            {"role": "assistant", "content": task.response},
        )
    ]
