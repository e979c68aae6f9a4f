"""What the lock notes of a model's projections and positions, beside what transformers makes of the same config."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from mixlab.cli._model_facts import read_facts
from mixlab.config.model_facts import find_positions, list_widths, take_facts
from mixlab.training.models.foreign import _find_limit
from mixlab.training.models.projections import find_projections

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral"])
def test_the_formulas_and_transformers_agree_on_the_width_of_every_projection(family: str) -> None:
    config = {"model_type": family, **SIZES}
    assert find_projections(config) == list_widths(take_facts(config).shape())


@pytest.mark.parametrize(
    ("family", "widths"),
    [
        ("gpt_neox", {}),
        ("phi3", {"o_proj": 32, "down_proj": 32}),
        (
            "qwen3",
            {"q_proj": 32, "k_proj": 16, "v_proj": 16, "o_proj": 32, "gate_proj": 32, "up_proj": 32, "down_proj": 32},
        ),
        ("nobody_knows_it", None),
    ],
)
def test_projections_of_other_families_are_those_that_transformers_builds(
    family: str, widths: dict[str, int] | None
) -> None:
    assert find_projections({"model_type": family, **SIZES, "pad_token_id": 0, "head_dim": 8}) == widths


@pytest.mark.parametrize(
    "stated",
    [
        {"model_type": "opt", "dropout": "0.1"},
        {"model_type": "gpt_neox", "intermediate_size": "x"},
        {"model_type": "gpt_neox", "hidden_size": 16, "num_attention_heads": 0},
    ],
)
def test_a_config_that_its_family_does_not_take_has_no_projections_and_no_traceback(stated: dict[str, Any]) -> None:
    assert find_projections(stated) is None


def test_the_lock_notes_projections_where_no_formula_says_them_and_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for config, projections in (
        ({"model_type": "gpt_neox", **SIZES}, {}),
        ({"model_type": "qwen2", **SIZES}, None),
        ({"model_type": "gpt_neox", **SIZES, "auto_map": {"AutoConfig": "mine.Mine"}}, None),
    ):
        path.write_text(json.dumps(config))
        facts = read_facts(path)
        assert facts == take_facts(config, projections)
        assert facts.config.keys() == {"model_type", *SIZES}


@pytest.mark.parametrize(
    "stated",
    [
        {"model_type": "llama"},
        {"model_type": "mistral", "sliding_window": 24},
        {"model_type": "mistral", "sliding_window": None},
        {"model_type": "qwen2", "sliding_window": 24},
        {"model_type": "qwen2", "sliding_window": 24, "use_sliding_window": True},
        {"model_type": "qwen3", "sliding_window": 24},
        {"model_type": "gpt_neox"},
        {"model_type": "phi3", "sliding_window": 24, "pad_token_id": 0},
    ],
)
def test_the_longest_sequence_of_a_plan_is_the_one_training_finds(stated: dict[str, Any]) -> None:
    config = {**SIZES, **stated}
    settings = AutoConfig.for_model(**config)
    assert find_positions(take_facts(config).config) == _find_limit(settings)
