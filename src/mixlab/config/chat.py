"""The chat template: plain strings around each message."""

from pydantic import Field

from mixlab.config.base import Settings


class ChatTemplate(Settings):
    """Strings put around the messages of a dialogue; special tokens are written by name.

    The default is that of the models trained here. A response is the assistant's content with
    `assistant_suffix`; everything else is prompt.
    """

    system_prefix: str = Field("<|system|>", description="before a system message")
    system_suffix: str = Field("", description="after a system message")
    user_prefix: str = Field("<|user|>", description="before a user message")
    user_suffix: str = Field("", description="after a user message")
    assistant_prefix: str = Field("<|assistant|>", description="opens the assistant's turn")
    assistant_suffix: str = Field(
        "<|end|>", min_length=1, description="closes the assistant's turn; part of the response"
    )


def default_chat(end_token: str) -> ChatTemplate:
    """Build our template for a base model whose tokenizer has no tokens for turns: headings in plain words.

    The answer begins with the line break of its heading's line, and `end_token` closes it.
    """
    return ChatTemplate(
        system_prefix="### System:\n",
        system_suffix="\n\n",
        user_prefix="### User:\n",
        user_suffix="\n\n",
        assistant_prefix="### Assistant:\n",
        assistant_suffix=end_token,
    )
