"""Tiny models made on the spot: one with random weights, and one that has learned what to reply to a few dialogues."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mixlab.config.generation import SamplingSettings
from mixlab.config.tokenizers import TokenizerSettings
from mixlab.data.tokens.tokenizer import train_tokenizer
from mixlab.generation.engine import Engine, Request
from mixlab.generation.rows import build_row_seed

TEXTS = ["the quick brown fox jumps over the lazy dog", "吾輩は猫である。名前はまだ無い。", "def f(x): return x + 1"]
PROMPT = {"system": "Sort.", "question": "<dialogue>{dialogue}</dialogue>"}
TAUGHT = {
    "write a python program": "code",
    "tell me about cats": "general",
    "add two and three": "math",
    "what follows from this": "reasoning",
}
NO_ANSWER = "sing a song"
"""A dialogue to which the model has learned to reply without an answer."""

_TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
_TEMPLATE = _TURNS + "{% if add_generation_prompt %}<|assistant|>{% endif %}"


def build_random(model: Path, tokenizer: Path) -> None:
    """Save a random Llama of 96 positions, wild enough for lively answers, and a tokenizer for it."""
    _train_tokenizer(TEXTS, 300, tokenizer)
    _build_llama(300, hidden_size=32, max_position_embeddings=96, initializer_range=0.4).save_pretrained(model)


def build_constant(model: Path, tokenizer: Path, token: str, positions: int = 96) -> None:
    """Save a Llama that writes `token` for ever, whatever it is asked."""
    path = _train_tokenizer(TEXTS, 300, tokenizer)
    llama = _build_llama(300, hidden_size=32, max_position_embeddings=positions)
    with torch.no_grad():
        for parameter in llama.parameters():
            parameter.zero_()
        llama.model.embed_tokens.weight.fill_(1.0)
        llama.model.norm.weight.fill_(1.0)
        llama.lm_head.weight[Tokenizer.from_file(str(path)).token_to_id(token)] = 1.0
    llama.save_pretrained(model)


def build_chat(folder: Path, steps: int = 120) -> None:
    """Train and save a model with its tokenizer and chat template; takes seconds on one core."""
    replies = {text: f"Category: {category}" for text, category in TAUGHT.items()} | {NO_ANSWER: "la la la"}
    path = _train_tokenizer([*replies, *replies.values(), *PROMPT.values()], 400, folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(path), eos_token="<|end|>", pad_token="<|pad|>", chat_template=_TEMPLATE
    )
    rows = [_render(tokenizer, text) + f"{reply}<|end|>" for text, reply in replies.items()]
    encoded = tokenizer(rows, padding=True, return_tensors="pt", add_special_tokens=False)
    model = _build_llama(len(tokenizer), hidden_size=64, max_position_embeddings=256)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    labels = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, -100)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(encoded["input_ids"], attention_mask=encoded["attention_mask"], labels=labels).loss
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def continue_all(engine: Engine, prompts: Sequence[str], sampling: SamplingSettings, seed: int, *, chat: bool) -> Any:
    """Return the completions in the order of the prompts, seeded as the first turn of a benchmark seeds them."""
    requests = [Request(prompt, build_row_seed(seed, at, prompt)) for at, prompt in enumerate(prompts)]
    found = dict(one for finished in engine.generate(requests, sampling, chat=chat) for one in finished)
    return [found.pop(at) for at in range(len(prompts))]


def _train_tokenizer(texts: Iterable[str], vocab_size: int, folder: Path) -> Path:
    train_tokenizer(TokenizerSettings(vocab_size=vocab_size), [[{"text": text} for text in texts]], folder)
    return folder / "tokenizer.json"


def _build_llama(vocab_size: int, *, hidden_size: int, **changes: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    # padding and end have the ids of the tokenizers trained here
    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 2 * hidden_size}
    tokens = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size, hidden_size=hidden_size, **shape, **tokens, **changes))


def _render(tokenizer: PreTrainedTokenizerFast, text: str) -> str:
    messages = [
        {"role": "system", "content": PROMPT["system"]},
        {"role": "user", "content": PROMPT["question"].replace("{dialogue}", text)},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert isinstance(rendered, str)
    return rendered
