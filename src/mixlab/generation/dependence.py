"""Whether responses depend on the batch, seen on a few of them.

In float32 greedy responses do not (a test says so). In bfloat16 sums are rounded to eight bits, in another order for
another batch, so that two nearly equal tokens change places. How often is a fact of a run: of few prompts the beginning
is generated once more, each alone, and compared.
"""

from collections.abc import Sequence

from mixlab.config.generation import SamplingSettings
from mixlab.generation.engine import STOP, TOO_LONG, Completion, Engine, Request

PROMPTS, TOKENS = 8, 32
"""So many prompts are asked again, for so many tokens: together a quarter of the steps of one batch of 1,024 tokens."""


def measure_dependence(
    engine: Engine, asked: Sequence[tuple[Request, Completion]], sampling: SamplingSettings, *, chat: bool
) -> str | None:
    """Say of how many prompts the first tokens differ when they are asked alone; None where nothing can be compared."""
    able = [pair for pair in asked if pair[1].finish_reason != TOO_LONG and not pair[1].cut_tokens]
    if len(able) < 2:
        return None
    step = max(1, len(able) // PROMPTS)
    chosen = able[::step][:PROMPTS]
    tokens = min(TOKENS, sampling.max_new_tokens)
    short = sampling.model_copy(update={"max_new_tokens": tokens})
    differ = 0
    for request, among_others in chosen:
        ((_, alone),) = next(iter(engine.generate([request], short, chat=chat)))
        differ += not _begins_alike(alone, among_others)
    return f"{differ} of {len(chosen)} responses differ within {tokens} tokens when generated alone"


def _begins_alike(alone: Completion, whole: Completion) -> bool:
    if alone.finish_reason == STOP:
        return (alone.text, STOP) == (whole.text, whole.finish_reason)
    # the last token may hold a part of a character
    begun = alone.text.rstrip("\ufffd")
    return whole.text.startswith(begun) or (whole.finish_reason == STOP and begun.startswith(whole.text))
