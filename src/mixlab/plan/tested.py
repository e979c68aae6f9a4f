"""The models that a study evaluates: those it makes, and those that somebody serves."""

from dataclasses import dataclass
from functools import cached_property

from mixlab.artifacts.keys import build_digest, canonical_json
from mixlab.config.analysis import ModelIdentity
from mixlab.config.base import Settings
from mixlab.config.chat import ChatTemplate
from mixlab.config.engines import EngineSettings
from mixlab.config.generation import PromptSettings
from mixlab.config.served_models import ServedModelConfig
from mixlab.plan.graph import Node, Roles


class Manner(Settings):
    """How one model is asked, whatever the benchmark; `chat` is None where a server wraps messages itself."""

    engine: EngineSettings
    chat: ChatTemplate | None
    stop: tuple[str, ...] = ()
    end_tokens: tuple[str, ...] = ()

    def ask(self, prompt: PromptSettings) -> PromptSettings:
        """Return a benchmark's prompt as this model is asked it."""
        if self.chat is not None:
            prompt = prompt.with_chat_template(self.chat)
        if not self.stop and not self.end_tokens:
            return prompt
        sampling = prompt.sampling
        stop, ends = ((*sampling.stop, *self.stop), (*sampling.end_tokens, *self.end_tokens))
        changes = {"stop": tuple(dict.fromkeys(stop)), "end_tokens": tuple(dict.fromkeys(ends))}
        return prompt.model_copy(update={"sampling": sampling.model_copy(update=changes)})


@dataclass(frozen=True)
class Tested:
    """A model to be evaluated: the point of the study it stands for and the seeds that made it.

    `where` is what this study calls the model; another study may have named the same one first. `member` is the
    folder within the artifact where the model is not at its root.
    """

    model: Node
    tokenizer: Node
    mixture: Node
    variant_key: str
    base_model_key: str
    mixture_seed: int
    ipt_seed: int
    sft_seed: int | None
    where: str
    manner: Manner
    point: str = ""
    description: str = ""
    member: str = ""
    base_model: str = ""

    @property
    def reference(self) -> str:
        """The model as a parent: `key`, or `key:member`."""
        return f"{self.model.key}:{self.member}" if self.member else self.model.key

    @property
    def parents(self) -> Roles:
        """Parents of its responses, beside the items."""
        return {"model": (self.reference,), "tokenizer": (self.tokenizer.key,)}

    @property
    def mixture_keys(self) -> tuple[str, ...]:
        """The mixture it saw."""
        return (self.mixture.key,)

    def identity(self) -> ModelIdentity:
        """Return the columns of every score of this model."""
        return ModelIdentity(
            stage="before_sft" if self.sft_seed is None else "after_sft",
            variant_key=self.variant_key,
            base_model_key=self.base_model_key,
            mixture_seed=self.mixture_seed,
            ipt_seed=self.ipt_seed,
            sft_seed=self.sft_seed,
        )


@dataclass(frozen=True)
class Served:
    """A model served elsewhere: a point of its own, with neither weights nor mixture here."""

    point: str
    config: ServedModelConfig
    where: str
    parents: Roles
    mixture_keys: tuple[str, ...] = ()
    base_model: str = ""

    @cached_property
    def manner(self) -> Manner:
        """How it is asked."""
        config = self.config
        return Manner(engine=config.to_engine(), chat=config.to_chat_template(), stop=config.all_stops())

    @property
    def variant_key(self) -> str:
        """What stands for the point: what is known of the model, and how it is asked."""
        return f"served-{build_digest(canonical_json(self.manner.model_dump(mode='json')).encode())[:16]}"

    @property
    def reference(self) -> str:
        """Its name among the models that are evaluated."""
        return self.variant_key

    @property
    def description(self) -> str:
        """One sentence for the report."""
        return self.config.description

    def identity(self) -> ModelIdentity:
        """Return the columns of every score of this model; nothing is known of how it was made."""
        return ModelIdentity(stage="served", variant_key=self.variant_key, base_model_key=self.variant_key)
