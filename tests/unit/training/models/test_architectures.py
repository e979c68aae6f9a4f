"""The architectures of `studies/kodama_oda/architectures.yaml`: their sizes, by formula and as torch counts them."""

import csv
import math
from pathlib import Path

import pytest
import torch

from mixlab.config.loading import load_document
from mixlab.config.model_flops import build_decoder_shape, count_parameters
from mixlab.config.models import ModelSettings
from mixlab.config.studies import STUDY_TYPES
from mixlab.training.models.llama import Llama
from mixlab.training.models.shape import build_shape

FILE = Path(__file__).resolve().parents[4] / "studies/kodama_oda/architectures.yaml"
# name here -> table, column, vocabulary and size as Tables 6 and 15 print them
PRINTED = {
    "llmjp3-1.8b": ("06", "llmjp3", 99_574, "1.8B"),
    "qwen2.5-1.5b": ("06", "qwen2.5", 151_936, "1.5B"),
    "llama-inhouse-1.3b": ("06", "llama-inhouse", 99_574, "1.3B"),
    "llama3.2-1b": ("06", "llama3.2", 128_256, "1.2B"),
    "llmjp3-13b": ("15", "llmjp3 13B", 99_574, "13B"),
}


@pytest.fixture(scope="module")
def architectures() -> dict[str, ModelSettings]:
    document = load_document(FILE, STUDY_TYPES)
    return {name: ModelSettings.model_validate(one) for name, one in document.data["architectures"].items()}


def count_by_torch(settings: ModelSettings, vocab_size: int) -> int:
    with torch.device("meta"):
        model = Llama(build_shape(settings, vocab_size, 0, 1))
    return sum(weight.numel() for weight in model.named_weights().values())


def print_size(parameters: int, printed: str) -> str:
    """In billions with as many digits as the table has; it cuts off, as the models' own names do (1.87: 1.8B)."""
    digits = len(printed.partition(".")[2].removesuffix("B"))
    return f"{math.floor(parameters / 10 ** (9 - digits)) / 10**digits:.{digits}f}B"


def test_every_architecture_of_the_two_tables_is_declared(architectures: dict[str, ModelSettings]) -> None:
    assert set(architectures) == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_parameters_by_formula_and_by_torch_agree_with_the_printed_size(
    architectures: dict[str, ModelSettings], name: str
) -> None:
    settings, (_, _, vocab_size, printed) = architectures[name], PRINTED[name]
    found = count_parameters(build_decoder_shape(settings, vocab_size)).total
    assert found == count_by_torch(settings, vocab_size)
    assert print_size(found, printed) == printed


def test_parameters_are_those_that_the_models_pages_state(architectures: dict[str, ModelSettings]) -> None:
    # embedding and non-embedding parameters: the table on the hub's page of llm-jp/llm-jp-3-1.8b-instruct
    small = count_parameters(build_decoder_shape(architectures["llmjp3-1.8b"], 99_574))
    large = count_parameters(build_decoder_shape(architectures["llmjp3-13b"], 99_574))
    assert (small.embedding + small.head, small.without_embeddings) == (407_896_064, 1_459_718_144)
    assert (large.embedding + large.head, large.without_embeddings) == (1_019_740_160, 12_688_184_320)


@pytest.mark.parametrize(
    "changes", [{"tie_embeddings": False}, {"architecture": "qwen2", "kv_heads": 1}, {"head_size": 6}]
)
def test_the_formula_counts_what_torch_counts(changes: dict[str, object]) -> None:
    base = {"hidden_size": 16, "layers": 3, "heads": 4, "feed_forward": 20, "vocabulary_multiple": 8}
    settings = ModelSettings.model_validate({**base, **changes})
    assert count_parameters(build_decoder_shape(settings, 53)).total == count_by_torch(settings, 53)


def test_layers_widths_and_heads_are_those_of_the_tables(
    architectures: dict[str, ModelSettings], shared_data: Path
) -> None:
    fields = {
        "layers": "Layers",
        "hidden_size": "Model Dimension",
        "feed_forward": "FFN Dimension",
        "heads": "Attention Heads",
        "kv_heads": "Key Value Heads",
    }
    for name, (table, column, vocab_size, size) in PRINTED.items():
        path = shared_data / f"published/kodama-oda/table{table}.csv"
        with path.open(encoding="utf-8") as file:
            printed = {row["attribute"]: row["value"] for row in csv.DictReader(file) if row["model"] == column}
        one = architectures[name]
        found = {field: getattr(one, field) or one.heads for field in fields}
        assert {field: int(printed[told]) for field, told in fields.items()} == found, name
        assert (printed["Vocabulary Size"], printed["Params"]) == (str(vocab_size), size)
