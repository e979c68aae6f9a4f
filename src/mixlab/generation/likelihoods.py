"""How likely a model finds given continuations of given contexts.

Tokens are cut as lm-eval does (`api/model.py`, `TemplateLM._encode_pair`): white space at the end of the context counts
as part of the continuation, and the tokens of a continuation are those that the joint text has beyond its context's. An
empty context is the end token.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from mixlab.config.generation import SamplingSettings
from mixlab.config.problems import DataError, Problem
from mixlab.generation.answers import Answers
from mixlab.generation.engine import STOP, Completion, Finished, Request
from mixlab.generation.journal import Journal
from mixlab.generation.lm_eval_tasks import Question
from mixlab.generation.responses import Response, write_response_files
from mixlab.generation.rows import build_batches


@dataclass(frozen=True)
class Weighed:
    """A context and a continuation in tokens; the last `continuation` of `ids` are weighed, `cut_tokens` left out."""

    ids: list[int]
    continuation: int
    cut_tokens: int = 0


Weight = tuple[float, bool]
"""Natural logarithm of the probability of a continuation, and whether greedy decoding would write it."""


class Weigher(Protocol):
    """An engine that can say how likely a text is."""

    def encode_pairs(self, pairs: Sequence[tuple[str, str]], sampling: SamplingSettings) -> list[Weighed | str]:
        """Encode pairs; one that does not fit the model's positions is told in words, or cut as `sampling` says."""
        ...

    def weigh(self, rows: Sequence[Weighed]) -> Iterator[list[tuple[int, Weight]]]:
        """Yield the weight of each row once, with its position, a batch at a time."""
        ...


def write_likelihoods(
    engine: Weigher, sampling: SamplingSettings, questions: Sequence[Question], out: Path, work: Path | None
) -> dict[str, str]:
    """Write `responses.jsonl` and `index.json`: for each item the weight of each continuation; return facts.

    Raises DataError naming every item that does not fit, unless `sampling.long_prompts` is truncate_left.
    """
    weighing = _Weighing(engine, sampling, questions)
    answers = Answers(weighing, sampling, False, Journal(work))
    requests = [[Request(_render(pair), 0) for pair in one.pairs] for one in questions]
    found = iter(answers.find([request for row in requests for request in row], "likelihoods"))
    responses = []
    for question, row in zip(questions, requests, strict=True):
        completions = [next(found) for _ in row]
        weights = [_read(completion) for completion in completions]
        best = max(range(len(weights)), key=lambda at: weights[at][0])
        response = Response(question.item, [question.pairs[0][0]], likelihoods=weights)
        told = Completion(
            question.pairs[best][1],
            sum(one.prompt_tokens or 0 for one in completions),
            sum(one.response_tokens or 0 for one in completions),
            STOP,
            sum(one.cut_tokens for one in completions),
        )
        response.add("\n".join(request.text for request in row), told)
        responses.append(response)
    write_response_files(responses, out)
    return dict(answers.facts())


def _render(pair: tuple[str, str]) -> str:
    return json.dumps(pair, ensure_ascii=False)


def _read(completion: Completion) -> Weight:
    value, is_greedy = json.loads(completion.text)
    return float(value), bool(is_greedy)


class _Weighing:
    """A weigher as `Answers` asks an engine: a request is a pair, its completion a weight, both as JSON."""

    special_tokens: tuple[str, ...] = ()

    def __init__(self, engine: Weigher, sampling: SamplingSettings, questions: Sequence[Question]) -> None:
        self._engine = engine
        pairs = [pair for question in questions for pair in question.pairs]
        names = [question.item for question in questions for _ in question.pairs]
        rows = engine.encode_pairs(pairs, sampling)
        cure = "take a model with more positions, or set long_prompts: truncate_left"
        if long := {name: row for name, row in zip(names, rows, strict=True) if isinstance(row, str)}:
            raise DataError([Problem(f"{told}; {cure}", key=f"item {name}") for name, told in long.items()])
        self._rows = {_render(pair): row for pair, row in zip(pairs, rows, strict=True) if isinstance(row, Weighed)}

    def find_too_long(
        self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool
    ) -> list[tuple[int, str]]:
        """Nothing: it was looked for before anything was asked."""
        return []

    def generate(self, requests: Sequence[Request], sampling: SamplingSettings, *, chat: bool) -> Iterator[Finished]:
        """Weigh the pairs."""
        rows = [self._rows[request.text] for request in requests]
        for batch in self._engine.weigh(rows):
            yield [
                (
                    at,
                    Completion(
                        json.dumps(weight),
                        len(rows[at].ids) - rows[at].continuation,
                        rows[at].continuation,
                        STOP,
                        rows[at].cut_tokens,
                    ),
                )
                for at, weight in batch
            ]


def split_space(context: str, continuation: str) -> tuple[str, str]:
    """Move white space from the end of a context to its continuation, whose first token it begins."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def encode_pair(context: list[int], whole: list[int], end_id: int, positions: int, *, is_cut: bool) -> Weighed | str:
    """Return the tokens of a pair from those of its context and of both; in words where they do not fit.

    The last token is only weighed, never read, so that one more than the positions fits.
    """
    ids = whole if context else [end_id, *whole]
    continuation = len(ids) - max(len(context), 1)
    if continuation < 1:
        return "the continuation has no token of its own"
    longest = positions + 1
    if len(ids) <= longest:
        return Weighed(ids, continuation)
    if is_cut and continuation <= positions:
        return Weighed(ids[-longest:], continuation, len(ids) - longest)
    return f"{len(ids)} tokens do not fit the model's {positions} positions"


@torch.inference_mode()
def weigh_batches(model: Any, rows: Sequence[Weighed], batch: int, pad: int) -> Iterator[list[tuple[int, Weight]]]:
    """Yield the weights of rows, those of like length together; B rows, T tokens, V entries of the vocabulary."""
    device = next(model.parameters()).device
    for members in build_batches([len(row.ids) for row in rows], batch):
        chosen = [rows[at] for at in members]
        longest = max(len(row.ids) for row in chosen) - 1
        gaps = [longest - len(row.ids) + 1 for row in chosen]
        ids_BT = torch.tensor(
            [row.ids[:-1] + [pad] * gap for row, gap in zip(chosen, gaps, strict=True)], device=device
        )
        mask_BT = torch.tensor([[1] * (longest - gap) + [0] * gap for gap in gaps], device=device)
        logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT).logits
        weights: list[Weight] = []
        for row, logits_TV in zip(chosen, logits_BTV, strict=True):
            end = len(row.ids) - 1
            log_probabilities_TV = logits_TV[end - row.continuation : end].float().log_softmax(-1)
            wanted_T = torch.tensor(row.ids[-row.continuation :], device=device)
            total = log_probabilities_TV.gather(1, wanted_T[:, None]).sum().item()
            weights.append((total, bool((log_probabilities_TV.argmax(-1) == wanted_T).all().item())))
        yield list(zip(members, weights, strict=True))
