"""Tasks of lm-eval over items of ours: its own class is built, no data set is loaded, nothing is asked of a network.

lm-eval takes seconds to import, so it is imported by what needs it. Where its task would load a data set, the items and
the worked examples are handed to it as splits.
"""

import hashlib
import importlib
import importlib.metadata
import json
import logging
import os
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.config.lm_eval_rules import find_split
from mixlab.config.lm_eval_task import DIGEST, FUNCTION, LIKELIHOODS, TaskCode, TaskRequests, TaskSettings
from mixlab.config.problems import ConfigError, DataError, Problem

Item = Mapping[str, Any]
ITEMS, EXAMPLES = "items", "examples"
NAME = "mixlab_item"
"""The field by which a document is known through the task's own process_docs."""

_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}
_ALLOWS_CODE = "HF_ALLOW_CODE_EVAL"
_SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")


@dataclass(frozen=True)
class Question:
    """What a task asks of one item: a context to be continued, or pairs of context and continuation to be weighed."""

    item: str
    context: str = ""
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass
class OpenTask:
    """A task of lm-eval with its documents, each beside the id of its item, in the order they are asked."""

    settings: TaskSettings
    task: Any
    documents: Mapping[str, Any] = field(default_factory=dict)


def open_task(
    settings: TaskSettings,
    items: Sequence[Item],
    examples: Sequence[Item] = (),
    *,
    num_fewshot: int = 0,
    fewshot_seed: int = 0,
) -> OpenTask:
    """Build a task over `items`, with worked examples from `examples` where its split is another than theirs.

    Raises ConfigError where another release of lm-eval is installed, DataError where the task cannot take the items.
    """
    _check_release(settings.release)
    if not items:
        raise DataError("lm-eval: there are no items; see the source that is named as `data`")
    with _offline():
        from lm_eval.api.task import ConfigurableTask
    config = _build_config(settings, num_fewshot)
    splits = {ITEMS: _build_split(items, settings)}
    if examples:
        splits[EXAMPLES] = _build_split(examples, settings)
    config["custom_dataset"] = lambda **_: splits
    with telling("the task cannot be built over the items"), _quiet():
        task = ConfigurableTask(config=config)
        task.set_fewshot_seed(seed=fewshot_seed)
        documents = list(task.eval_docs)
    return OpenTask(settings, task, dict(zip(_name_documents(documents, items), documents, strict=True)))


def list_questions(
    requests: TaskRequests, items: Sequence[Item], examples: Sequence[Item] = (), limit: int | None = None
) -> list[Question]:
    """Build what the task asks of the first `limit` items; see `open_task` for what it raises."""
    shots, seed = requests.num_fewshot, requests.fewshot_seed
    opened = open_task(requests.task, items, examples, num_fewshot=shots, fewshot_seed=seed)
    task, names = opened.task, list(opened.documents)
    with telling("the task cannot build its requests"), _quiet():
        task.build_all_requests(limit=limit)
    asked: dict[str, list[tuple[str, str]]] = {}
    contexts: dict[str, str] = {}
    for one in task.instances:
        name = names[one.doc_id]
        contexts[name] = one.args[0]
        asked.setdefault(name, []).append((one.args[0], one.args[1]))
    if requests.task.output_type in LIKELIHOODS:
        return [Question(name, pairs=tuple(pairs)) for name, pairs in asked.items()]
    return [Question(name, context) for name, context in contexts.items()]


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Run what a task brings, offline; what it stumbles over is told as a mistake of the task or its items."""
    try:
        with _offline():
            yield
    except (ConfigError, DataError):
        raise
    except Exception as error:
        told = " ".join(str(error).split())
        raise DataError(
            f"lm-eval: {what}: {type(error).__name__}: {told:.300}; see the fields that the source gives to an item, "
            "json_fields, and the templates and functions of the task"
        ) from error


def _check_release(release: str) -> None:
    cure = f"install it: pip install 'lm_eval=={release}'"
    try:
        found = importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(f"a benchmark is a task of lm-eval, which is not installed; {cure}") from None
    if found != release:
        raise ConfigError(f"a benchmark is a task of lm-eval {release}, but {found} is installed; {cure}")


@contextmanager
def _offline() -> Iterator[None]:
    """Keep lm-eval's libraries from the network, also those imported before, and code_eval locked."""
    import datasets
    import huggingface_hub.constants as hub

    kept = {name: os.environ.get(name) for name in (*_OFFLINE, _ALLOWS_CODE)}
    flags = hub.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    os.environ.update(_OFFLINE)
    os.environ.pop(_ALLOWS_CODE, None)
    hub.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = flags
        os.environ.update({name: value for name, value in kept.items() if value is not None})
        for name in (name for name, value in kept.items() if value is None):
            os.environ.pop(name, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out bars of progress, and lm-eval's remarks on defaults, which are those of the task's author."""
    import datasets

    logger = logging.getLogger("lm_eval")
    level, is_shown = logger.level, not datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if is_shown:
            datasets.enable_progress_bars()


def _build_config(settings: TaskSettings, num_fewshot: int) -> dict[str, Any]:
    """Return the configuration that lm-eval is given: functions in place, splits named as ours."""
    functions = {one.digest: _load(one) for one in settings.code}
    config: dict[str, Any] = _revive(settings.config, functions)
    asked = find_split(config)
    for key in _SPLITS:
        if config.get(key) is not None:
            config[key] = ITEMS if config[key] == asked else EXAMPLES
    if num_fewshot == 0:
        # other splits are for worked examples alone
        config = {key: value for key, value in config.items() if key not in _SPLITS or value == ITEMS}
    elif (chosen := config.get("fewshot_config")) and chosen.get("split") is not None:
        chosen["split"] = ITEMS if chosen["split"] == asked else EXAMPLES
    if config.get("test_split") and config.get("validation_split") == EXAMPLES and not _draws_from_validation(config):
        del config["validation_split"]
    if settings.output_type not in LIKELIHOODS:
        config["generation_kwargs"] = {"until": []}
    return {**config, "task": "benchmark", "num_fewshot": num_fewshot, "output_type": settings.output_type}


def _draws_from_validation(config: Mapping[str, Any]) -> bool:
    return not config.get("fewshot_split") and not config.get("training_split")


def _revive(value: Any, functions: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {FUNCTION, DIGEST}:
            module, name = functions[value[DIGEST]], value[FUNCTION]
            if not callable(found := getattr(module, name, None)):
                raise ConfigError(f"lm-eval: the task's code has no function '{name}' ({FUNCTION})")
            return found
        return {key: _revive(one, functions) for key, one in value.items()}
    return [_revive(one, functions) for one in value] if isinstance(value, (list, tuple)) else value


def _load(code: TaskCode) -> types.ModuleType:
    """Import a file of functions: a module of lm-eval with these bytes, or the source that the plan holds."""
    with telling("code of the task cannot be imported"):
        if code.module is not None:
            module = importlib.import_module(code.module)
            data = Path(str(module.__file__)).read_bytes()
            if hashlib.sha256(data).hexdigest() != code.digest:
                raise ConfigError(f"lm-eval: {code.module} is not the file that was planned; plan again")
            return module
        name = f"mixlab_task_{code.digest}"
        if name not in sys.modules:
            module = types.ModuleType(name)
            exec(compile(str(code.source), f"<{name}>", "exec", dont_inherit=True), module.__dict__)
            # under a name of its own, so that `datasets` finds the functions it is to apply
            sys.modules[name] = module
        return sys.modules[name]


def _build_split(items: Sequence[Item], settings: TaskSettings) -> Any:
    from datasets import Dataset

    documents = [{**item, **_read_json(item, settings.json_fields), NAME: item["id"]} for item in items]
    with telling("the items make no table"):
        return Dataset.from_list(documents)


def _read_json(item: Item, names: Sequence[str]) -> dict[str, Any]:
    values, problems = {}, []
    for name in names:
        texts = item.get(name)
        try:
            values[name] = [json.loads(one) for one in texts] if isinstance(texts, list) else json.loads(str(texts))
        except ValueError as error:
            problems.append(Problem(f"{name} is no JSON: {error}, got {texts!r:.80}", key=f"item {item['id']}"))
    if problems:
        raise DataError(problems)
    return values


def _name_documents(documents: Sequence[Any], items: Sequence[Item]) -> list[str]:
    """Return the id of each document's item: the task may leave items out, reorder them, or drop our field."""
    names = [one.get(NAME) if isinstance(one, Mapping) else None for one in documents]
    if None in names and len(documents) == len(items):
        names = [item["id"] for item in items]
    told = [str(name) for name in names]
    if None in names or len(set(told)) < len(told):
        raise DataError(
            "lm-eval: process_docs makes documents of which it is not known which item they are of: keep the fields of "
            "a document, or leave no item out"
        )
    return told
