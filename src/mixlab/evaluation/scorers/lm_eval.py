"""Scores of a task of lm-eval: one of its filters extracts, one of its metrics compares.

A record has the fields that the task's `doc_to_target` and `process_results` read, such as {"id": "0", "question": "…",
"answer": "… #### 3"}. A filter that finds nothing says [invalid]; such a response is counted as unparsed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mixlab.config.lm_eval_task import LIKELIHOODS
from mixlab.config.problems import DataError, Problem
from mixlab.config.scorers import LmEvalScorerSettings
from mixlab.evaluation.scorers.score import Pair, Score, Scored, describe_silence
from mixlab.generation.lm_eval_tasks import OpenTask, open_task, telling
from mixlab.generation.responses import Response

INVALID = "[invalid]"
"""What lm-eval's filters by regular expression say where nothing is found."""


def score_lm_eval(settings: LmEvalScorerSettings, pairs: Sequence[Pair]) -> Scored:
    """Score each response by itself; raises DataError for a metric that gives no number in [0, 1] for an item."""
    items = {item["id"]: item for item, _ in pairs}
    opened = open_task(settings.task, list(items.values()))
    missing = [response.item for _, response in pairs if response.item not in opened.documents]
    if missing:
        raise DataError([Problem("is left out by the task's process_docs", key=f"item {name}") for name in missing])
    filtered = _filter(opened, settings.filter, [response for _, response in pairs])
    scores = []
    for (_, response), found in zip(pairs, filtered, strict=True):
        with telling(f"item '{response.item}' cannot be scored"):
            results = opened.task.process_results(opened.documents[response.item], found)
        text = _render(found, response)
        scores.append(
            Score(
                item=response.item,
                score=_read_score(results, settings.metric, response.item),
                parsed=bool(text) and text != INVALID,
                extracted=None if text == INVALID else text,
                note=describe_silence(response),
            )
        )
    return Scored(scores, {})


def _filter(opened: OpenTask, name: str, responses: Sequence[Response]) -> list[list[Any]]:
    """Apply the task's filter to all responses at once, as lm-eval does; a list of results for each."""
    from lm_eval.api.instance import Instance

    (ensemble,) = opened.task._filters
    is_likelihood = opened.settings.output_type in LIKELIHOODS
    instances: list[list[Any]] = []
    for response in responses:
        answers: list[Any] = [response.responses[-1]]
        if is_likelihood:
            answers = [tuple(one) for one in response.likelihoods or ()]
        document = opened.documents[response.item]
        kind = "loglikelihood" if is_likelihood else "generate_until"
        instances.append(
            [
                Instance(request_type=kind, doc=document, arguments=("", {}), idx=at, resps=[answer])
                for at, answer in enumerate(answers)
            ]
        )
    with telling(f"filter {name} cannot be applied"):
        ensemble.apply([one for row in instances for one in row])
    return [[one.filtered_resps[name] for one in row] for row in instances]


def _render(found: Sequence[Any], response: Response) -> str:
    """Say what was extracted: the text, or the likeliest continuation."""
    if response.likelihoods is not None:
        return response.responses[-1]
    value = found[0]
    while isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    return str(value)


def _read_score(results: Mapping[str, Any], metric: str, item: str) -> float:
    if metric not in results:
        told = ", ".join(sorted(map(str, results))) or "none"
        raise DataError(f"lm-eval: the task gives no metric '{metric}' (it gives {told}); set `metric`")
    value = results[metric]
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 1:
        raise DataError(
            f"lm-eval: item '{item}': metric {metric} is {value!r:.80}, no number from 0 to 1; set `metric`"
        )
    return score
