"""What transformers needs beside weights and `tokenizer.json`: which tokens do what, and the chat template as Jinja."""

import json
from pathlib import Path
from typing import Any

from mixlab.config.chat import ChatTemplate
from mixlab.data.tokens.tokenizer import Vocabulary
from mixlab.data.writing import write_json

TEMPLATE = "chat_template.jinja"


def render_jinja(chat: ChatTemplate) -> str:
    """Render a chat template that puts the same text around messages as `mixlab.data.tokens.chat.render` does."""
    around = {
        "system": (chat.system_prefix, chat.system_suffix),
        "user": (chat.user_prefix, chat.user_suffix),
        "assistant": (chat.assistant_prefix, chat.assistant_suffix),
    }
    parts = []
    for place, (role, (prefix, suffix)) in enumerate(around.items()):
        test = "elif" if place else "if"
        said = f"{_quote(prefix)} + message['content'] + {_quote(suffix)}"
        parts.append(f"{{%- {test} message['role'] == {_quote(role)} -%}}{{{{- {said} -}}}}")
    refused = "{%- else -%}{{- raise_exception('messages are by system, user or assistant') -}}{%- endif -%}"
    ending = f"{{%- if add_generation_prompt -%}}{{{{- {_quote(chat.assistant_prefix)} -}}}}{{%- endif -%}}"
    return "{%- for message in messages -%}" + "".join(parts) + refused + "{%- endfor -%}" + ending


def _quote(text: str) -> str:
    """A text as Jinja's literal, which reads escapes as JSON writes them, but knows no pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False)


def write_tokenizer_files(vocabulary: Vocabulary, chat: ChatTemplate, out: Path) -> None:
    """Write `tokenizer_config.json`, `chat_template.jinja` and, where the model brought none, `generation_config.json`.

    Beside the tokenizer's end token a reply ends at the token that closes the assistant's turn, where it is one token.
    """
    own = {vocabulary.end_token, vocabulary.pad_token}
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": vocabulary.end_token,
        "pad_token": vocabulary.pad_token,
        "extra_special_tokens": [token for token in vocabulary.special_tokens if token not in own],
        "clean_up_tokenization_spaces": False,
    }
    write_json(out / "tokenizer_config.json", config)
    (out / TEMPLATE).write_text(render_jinja(chat), encoding="utf-8")
    if not (out / "generation_config.json").is_file():
        closing = vocabulary.special_tokens.get(chat.assistant_suffix.strip())
        ends = sorted({vocabulary.end_id, *([closing] if closing is not None else [])})
        card = {"do_sample": False, "eos_token_id": ends, "pad_token_id": vocabulary.pad_id}
        write_json(out / "generation_config.json", card)
