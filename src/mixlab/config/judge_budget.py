"""What model judges may cost on this machine: caps in calls and money, and prices; none of it decides a verdict."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from mixlab.config.base import Settings
from mixlab.config.problems import did_you_mean

PICO = 10**12
"""Money is counted in whole 10^-12 of the currency: a price per million tokens is exact down to 10^-6 of it."""

_PerMillion = Annotated[float, Field(ge=0, le=1_000_000)]
_Money = Annotated[float, Field(ge=0, le=1_000_000)]


class JudgePrice(Settings):
    """What a model's tokens cost, with its date: prices change."""

    prompt_per_million: _PerMillion = Field(description="price of a million prompt tokens that are not cached")
    response_per_million: _PerMillion = Field(description="price of a million tokens of replies, thinking included")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="day on which it was so")
    source: str = Field(min_length=1, description="where it is from")

    def cost_pico(self, prompt_tokens: int, response_tokens: int) -> int:
        """Return what so many tokens cost, in 10^-12 of the currency."""
        return prompt_tokens * self._pico(self.prompt_per_million) + response_tokens * self._pico(
            self.response_per_million
        )

    @staticmethod
    def _pico(per_million: float) -> int:
        return round(per_million * 1_000_000)


def _openai(model: str, prompt: float, response: float) -> tuple[str, JudgePrice]:
    source = f"https://openrouter.ai/openai/{model}, which states OpenAI's own price; caching would make it less"
    return model, JudgePrice(prompt_per_million=prompt, response_per_million=response, date="2026-11-21", source=source)


PRICES: Mapping[str, JudgePrice] = dict(
    (
        _openai("gpt-4o-2024-05-13", 5.0, 15.0),
        _openai("gpt-4o-2024-08-06", 2.5, 10.0),
        _openai("gpt-4o-mini-2024-07-18", 0.15, 0.6),
    )
)
"""Prices in US dollars that need not be declared."""


class JudgeBudget(Settings):
    """Caps of one study, over all its judge models and all its runs on this store; they are never exceeded."""

    max_calls: int | None = Field(
        default=None, ge=0, le=2**53, description="requests sent, repeated tries included; absent: no cap"
    )
    max_cost: _Money | None = Field(
        default=None,
        description="money spent, by the prices; a call counts with its highest possible cost until its reply says "
        "how many tokens it took; absent: no cap",
    )

    @property
    def max_cost_pico(self) -> int | None:
        """The cap in 10^-12 of the currency."""
        return None if self.max_cost is None else int(self.max_cost * PICO)


class JudgingSettings(Settings):
    """`machine.judging`: caps of what model judges may cost, and prices."""

    budget: JudgeBudget = Field(
        default=JudgeBudget(), description="caps of every study that has none of its own; each study counts for itself"
    )
    budgets: dict[str, JudgeBudget] = Field(default_factory=dict, description="name of a study -> its own caps")
    prices: dict[str, JudgePrice] = Field(
        default_factory=dict, description="name of a model -> its price; goes before the prices known by name"
    )
    currency: str = Field(default="USD", min_length=1, max_length=8, description="of all prices and caps")

    def budget_of(self, study: str) -> JudgeBudget:
        """Return the caps of a study."""
        return self.budgets.get(study, self.budget)

    def price_of(self, model: str) -> JudgePrice | None:
        """Return a model's price; None where nobody said one. Prices known by name are in US dollars."""
        if model in self.prices:
            return self.prices[model]
        return PRICES.get(model) if self.currency == "USD" else None

    def explain_unpriced(self, model: str) -> str:
        """Say what to do about a model without a price."""
        hint = did_you_mean(model, {**PRICES, **self.prices})
        return f"'{model}' has no price{hint}; give one under machine.judging.prices (0 where it costs nothing)"
