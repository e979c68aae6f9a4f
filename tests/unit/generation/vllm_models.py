"""Models that vLLM can compute on a CPU, written as our own training writes them, and how tests open them."""

from pathlib import Path

from tiny_models import TEXTS

from mixlab.config.engines import VllmEngineSettings
from mixlab.config.models import InitSettings, ModelSettings
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.config.vllm import VllmSettings
from mixlab.data.tokens.tokenizer import load_tokenizer, train_tokenizer
from mixlab.generation.vllm.engine import VllmEngine, open_engine
from mixlab.training.models.weights import NewModel, open_model, write_model

# wild enough for lively answers
WILD = InitSettings(embedding_std=1.0, projection_scale=2.0, output_projection_scale=2.0)
LLAMA = ModelSettings(hidden_size=64, layers=2, heads=2, feed_forward=128, max_positions=256, init=WILD)
QWEN2 = LLAMA.model_copy(update={"architecture": "qwen2", "kv_heads": 1, "tie_embeddings": True})
NARROW = LLAMA.model_copy(update={"heads": 8})
"""Heads of 8 numbers: vLLM's attention on a CPU has none so small."""

MACHINE = VllmSettings(kv_cache_gib=0.25, compile=False)
Folders = tuple[Path, Path]


def write_random(settings: ModelSettings, folder: Path) -> Folders:
    """Write a random model and a tokenizer for it below `folder`; return both folders."""
    model, tokenizer = folder / "model", folder / "tokenizer"
    model.mkdir()
    tokenizer.mkdir()
    train_tokenizer(TokenizerSettings(vocab_size=300), [[{"text": text} for text in TEXTS]], tokenizer)
    size = load_tokenizer(tokenizer).get_vocab_size()
    write_model(open_model(NewModel(settings, vocab_size=size), seed=1), model)
    return model, tokenizer


def open_vllm(folders: Folders, python: Path, **changes: object) -> VllmEngine:
    """Open it on one thread, without a GPU; `changes` are machine settings."""
    machine = MACHINE.model_copy(update={"python": str(python), **changes})
    return open_engine(*folders, VllmEngineSettings(), machine, threads=1, gpus=0)
