"""The chat template as Jinja puts the same text around messages as ours."""

import jinja2.sandbox
import pytest

from mixlab.config.chat import ChatTemplate, default_chat
from mixlab.data.exports.chat_jinja import render_jinja
from mixlab.data.tokens.chat import render, render_prompt

MESSAGES = [
    {"role": "system", "content": "Be {{ brief }}."},
    {"role": "user", "content": "1 + 1?\n'\"\\ 数学 {% if %}"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "  Why? "},
]
ODD = ChatTemplate(
    system_prefix="<<{{ '\"\\\n",
    system_suffix="}}\t",
    user_prefix=" %}",
    user_suffix="\n\n",
    assistant_prefix="{%- x -%}",
    assistant_suffix="終😀\n",
)


def apply(chat: ChatTemplate, messages: list[dict[str, str]], open_turn: bool) -> str:
    """Render as transformers does: a sandbox that trims blocks and the spaces before them."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(render_jinja(chat)).render(messages=messages, add_generation_prompt=open_turn)


@pytest.mark.parametrize("chat", [ChatTemplate(), default_chat("</s>"), ODD])
def test_the_text_around_messages_is_ours(chat: ChatTemplate) -> None:
    assert apply(chat, MESSAGES, open_turn=True) == render_prompt(MESSAGES, chat)
    whole = "".join(piece.text for piece in render(MESSAGES[:3], chat))
    assert apply(chat, MESSAGES[:3], open_turn=False) == whole
