"""A beginning that prompts share, computed once: the same responses, and fewer tokens computed."""

import pytest
from tiny_models import continue_all

from mixlab.config.engines import HfEngineSettings
from mixlab.config.generation import SamplingSettings
from mixlab.generation.hf import open_engine
from mixlab.generation.prefixes import compute_prefix, count_shared

SHOWN = "Q 12? 34! " * 4
PROMPTS = [SHOWN + question for question in ("the dog", "x", "lazy dog over", "quick", "def f(x): return", "猫")]


@pytest.fixture(scope="module")
def open_sharing(model_folders):
    def open_with(batch, shares_prefixes):
        settings = HfEngineSettings()
        return open_engine(*model_folders, settings, threads=1, batch=batch, shares_prefixes=shares_prefixes)

    return open_with


@pytest.mark.parametrize("temperature", [0.0, 1.0], ids=["greedy", "sampled"])
def test_responses_are_those_of_whole_prompts_whatever_the_batch(open_sharing, temperature):
    sampling = SamplingSettings(max_new_tokens=16, temperature=temperature, stop=("z",))
    plain = continue_all(open_sharing(6, False), PROMPTS, sampling, 3, chat=False)
    assert len({one.text for one in plain}) > 3
    for batch in (1, 4, 6):
        assert continue_all(open_sharing(batch, True), PROMPTS, sampling, 3, chat=False) == plain


def test_only_the_part_of_its_own_of_each_prompt_is_computed_for_each(open_sharing):
    seen = []
    for shares in (False, True):
        engine = open_sharing(6, shares)
        shapes: list[tuple[int, int]] = []

        def note(module, args, kwargs, shapes=shapes):
            shapes.append(tuple((args[0] if args else kwargs["input_ids"]).shape))

        engine._model.register_forward_pre_hook(note, with_kwargs=True)
        continue_all(engine, PROMPTS, SamplingSettings(max_new_tokens=1), 0, chat=False)
        seen.append(shapes)
    ((rows, whole),), (prefix, rest) = seen
    assert (rows, prefix[0], rest[0]) == (6, 1, 6)
    assert prefix[1] >= 32 and prefix[1] + rest[1] == whole


def test_what_rows_share_leaves_each_a_token(open_sharing):
    assert count_shared([[1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 5]]) == 2
    assert count_shared([[1, 2, 9], [1, 3]]) == 1
    assert count_shared([[4], [5, 6]]) == count_shared([]) == 0
    model = open_sharing(1, True)._model
    assert compute_prefix(model, [[5] * 40]) is None
    assert compute_prefix(model, [[5] * 30 + [6], [5] * 30 + [7]]) is None
    found = compute_prefix(model, [[5] * 40 + [6], [5] * 40 + [7]])
    assert found is not None and found.tokens == 40
