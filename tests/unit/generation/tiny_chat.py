"""A tiny chat model made on the spot: it has learned what to reply to a handful of dialogues."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

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
_SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def build_tiny_chat(folder: Path, steps: int = 120) -> Path:
    """Train and save the model with its tokenizer and chat template; takes seconds on one core."""
    replies = {text: f"Category: {category}" for text, category in TAUGHT.items()} | {NO_ANSWER: "la la la"}
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([*replies, *replies.values(), *PROMPT.values()], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|end|>", pad_token="<|pad|>", chat_template=_TEMPLATE
    )
    rows = [_render(tokenizer, text) + f"{reply}<|end|>" for text, reply in replies.items()]
    encoded = tokenizer(rows, padding=True, return_tensors="pt", add_special_tokens=False)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    labels = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, -100)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(encoded["input_ids"], attention_mask=encoded["attention_mask"], labels=labels).loss
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _render(tokenizer: PreTrainedTokenizerFast, text: str) -> str:
    messages = [
        {"role": "system", "content": PROMPT["system"]},
        {"role": "user", "content": PROMPT["question"].replace("{dialogue}", text)},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert isinstance(rendered, str)
    return rendered
