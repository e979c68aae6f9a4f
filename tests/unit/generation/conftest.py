"""A tiny model with random weights and a tokenizer for it."""

import pytest

from mixlab.config.generation import EngineSettings
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.data.tokens.tokenizer import train_tokenizer
from mixlab.generation.hf import open_engine

TEXTS = ["the quick brown fox jumps over the lazy dog", "吾輩は猫である。名前はまだ無い。", "def f(x): return x + 1"]


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory):
    """Folders of a random Llama of 96 positions and of its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TokenizerSettings(vocab_size=300), [[{"text": text} for text in TEXTS]], tokenizer)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        initializer_range=0.4,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    model = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(config).save_pretrained(model)
    return model, tokenizer


@pytest.fixture(scope="session")
def open_tiny(model_folders):
    """Open the tiny model with a batch size."""

    def open_with(batch, dtype="float32"):
        return open_engine(*model_folders, EngineSettings(dtype=dtype), threads=1, batch=batch)

    return open_with
