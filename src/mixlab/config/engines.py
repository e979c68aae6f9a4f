"""The programs that turn prompts into text. What is set here decides responses; where and how fast does not."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.config.base import Settings
from mixlab.config.endpoints import Extra


class HfEngineSettings(Settings):
    """Transformers' generate on a local model folder."""

    engine: Literal["hf"] = Field(default="hf", description="hf: transformers' generate on a local model folder")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="compute precision")


class VllmEngineSettings(Settings):
    """vLLM on a local model folder; where it lives and what it takes of the machine is in `machine.vllm`."""

    engine: Literal["vllm"] = Field(default="vllm", description="vllm: vLLM, in its own environment, on a model folder")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="compute precision")


Sent = Literal["temperature", "top_p", "seed", "stop"]


def _in_one_order(sends: tuple[Sent, ...]) -> tuple[Sent, ...]:
    return tuple(name for name in get_args(Sent) if name in sends)


class ServedSettings(Settings):
    """A model that somebody serves at an OpenAI-compatible endpoint.

    Which weights stand behind a name is the endpoint's affair; `revision` holds what is known of them.
    """

    model: str = Field(min_length=1, max_length=400, description="name of the model, as the endpoint knows it")
    revision: str | None = Field(
        default=None,
        min_length=1,
        max_length=400,
        description="its weights: a commit, date or digest",
    )
    api: Literal["chat", "completions"] = Field(
        default="chat",
        description="chat: /chat/completions, in the endpoint's template, where plain text is one user message; "
        "completions: /completions, for base models",
    )
    max_tokens_name: Annotated[str, Field(pattern="^max_(completion_)?tokens$")] = Field(
        default="max_tokens", description="how this endpoint calls it: max_tokens or max_completion_tokens"
    )
    sends: Annotated[tuple[Sent, ...], AfterValidator(_in_one_order)] = Field(
        default=get_args(Sent),
        description="settings of sampling that a request holds; leave out what the endpoint does not take",
    )
    extra: Extra = Field(
        default_factory=dict,
        description="further fields of each request, e.g. reasoning_effort or chat_template_kwargs; never a key",
    )


class OpenaiEngineSettings(ServedSettings):
    """A model served elsewhere, as it enters a key."""

    engine: Literal["openai"] = Field(default="openai", description="openai: a model served elsewhere")

    @property
    def place(self) -> str:
        """The name by which a job finds its endpoint's name, in the plan file's table of places."""
        return f"served/{self.digest}"

    @property
    def digest(self) -> str:
        """Identity of the model as it is served and asked: 16 hex digits."""
        return build_digest(canonical_json(self.model_dump(mode="json")).encode())[:16]


def _is_hf_unless_said(value: Any) -> Any:
    return {"engine": "hf", **value} if isinstance(value, Mapping) and "engine" not in value else value


LocalEngineSettings = Annotated[
    HfEngineSettings | VllmEngineSettings, Field(discriminator="engine"), BeforeValidator(_is_hf_unless_said)
]
"""An engine for a folder of weights; without `engine` it is hf."""

EngineSettings = Annotated[
    HfEngineSettings | VllmEngineSettings | OpenaiEngineSettings,
    Field(discriminator="engine"),
    BeforeValidator(_is_hf_unless_said),
]
"""Any engine, as a spec of responses names it."""
