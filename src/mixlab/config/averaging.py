"""How snapshots become one model: what decides the weights of the mean, and how they are stored."""

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mixlab.config.base import Settings, added
from mixlab.config.exact import Exact, in_proportion
from mixlab.config.sizes import Bytes


def _reduce(weights: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Return the smallest whole numbers of the same proportion, so that equal means are one artifact."""
    if wrong := [f"{weight} (number {at})" for at, weight in enumerate(weights, 1) if weight <= 0]:
        raise ValueError(f"every weight must be more than 0, got {', '.join(wrong)}; lower `last` to leave out the old")
    return in_proportion(weights)


def _between_zero_and_one(decay: Fraction) -> Fraction:
    if not 0 < decay < 1:
        raise ValueError(f"must lie between 0 and 1, both excluded, got {decay}; for equal weights: method: uniform")
    return decay


def _not_zero(scale: Fraction) -> Fraction:
    if scale == 0:
        raise ValueError("must not be 0: nothing but the base model would be left")
    return scale


class AveragingSettings(Settings):
    """How the newest snapshots of a run become one model.

    Of N = `last` snapshots x_0 (newest) to x_N-1 the mean is the sum of w_k x_k, where w_k is 1/N for `uniform`,
    weights_k / sum(weights) for `weighted`, and decay^k (1 - decay) / (1 - decay^N) for `ema`: an exponential moving
    average over these N alone, so that the newest weighs most. With `delta_scale` s the result is
    base + s (mean - base), base being the model that the run began from (task arithmetic, Ilharco et al. 2023).
    """

    method: Literal["uniform", "weighted", "ema"] = Field(
        default="uniform", description="equal weights, weights of one's own, or weights that fall with age"
    )
    last: int = Field(
        default=10, ge=1, le=1_000, description="how many of the newest snapshots; at most what ipt keeps"
    )
    accumulate: Literal["float32"] = Field(default="float32", description="of the sum")
    dtype: Literal["float32", "bfloat16", "float16"] = added("float32", description="of the result as it is stored")
    weights: Annotated[tuple[Exact, ...], Field(min_length=1), AfterValidator(_reduce)] | None = added(
        None, description="weighted: one for each snapshot, newest first; they are divided by their sum"
    )
    decay: Annotated[Exact, AfterValidator(_between_zero_and_one)] | None = added(
        None, description="ema: the weight of a snapshot over that of the next newer one"
    )
    delta_scale: Annotated[Exact, Field(ge=-100, le=100), AfterValidator(_not_zero)] | None = added(
        None,
        description="factor of the mean's difference from the model before ipt, which is then a parent; null: the mean",
    )
    shard_bytes: Bytes | None = added(
        None, description="most bytes of one safetensors file; a larger model gets several, and an index; null: one"
    )

    @model_validator(mode="after")
    def _options_fit_the_method(self) -> Self:
        options = (("weighted", "weights"), ("ema", "decay"))
        wrong = [f"method: {method} needs {name}" for method, name in options if self._lacks(method, name)]
        wrong += [
            f"{name} belongs to method: {method}, but method is {self.method}"
            for method, name in options
            if self.method != method and getattr(self, name) is not None
        ]
        if self.weights is not None and len(self.weights) != self.last:
            wrong.append(f"weights: {len(self.weights)} for the last {self.last} snapshots; give one for each")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _lacks(self, method: str, name: str) -> bool:
        return self.method == method and getattr(self, name) is None

    def coefficients(self) -> tuple[Fraction, ...]:
        """Return what each snapshot counts, newest first; divided by their sum they are the weights w_k."""
        if self.weights is not None:
            return self.weights
        decay = Fraction(1) if self.decay is None else self.decay
        return tuple(decay**age for age in range(self.last))
