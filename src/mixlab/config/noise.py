"""What a study expects of its noise before it runs; it decides what `mixlab plan` says and no result."""

from typing import Annotated

from pydantic import Field, model_validator

from mixlab.config.analysis import SelectedMeasure
from mixlab.config.base import Settings

Deviation = Annotated[float, Field(ge=0)]


class MeasureNoise(Settings):
    """Standard deviations of one measure on its own scale, as `variance.csv` of an earlier study has them."""

    ipt_seed: Deviation | None = Field(
        default=None, description="of a model's mean from one IPT run to the next; absent: not known"
    )
    sft_seed: Deviation = Field(description="of a model's mean from one SFT seed to the next, IPT run the same")
    generation_seed: Deviation = Field(default=0.0, description="of a model's mean from one set of answers to the next")
    judge_run: Deviation = Field(default=0.0, description="of the mean of one set of answers between judgings")
    answer: Deviation = Field(default=0.0, description="of one score, beyond what its item and its model explain")


class NoiseConfig(Settings):
    """The noise a study expects, from which `mixlab plan` says what differences it can find."""

    measures: dict[SelectedMeasure, MeasureNoise] = Field(min_length=1, description="noise of each measure")
    items: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="items of a benchmark, where neither its limit nor a generator's size says it"
    )
    power: float = Field(default=0.8, gt=0.05, lt=1, description="chance with which a difference is to be found")

    @model_validator(mode="after")
    def _judgings_belong_to_judges(self) -> "NoiseConfig":
        for measure, noise in self.measures.items():
            if noise.judge_run and measure != "judge_score":
                raise ValueError(f"measures.{measure}: judge_run {noise.judge_run}, but no judge gives {measure}")
        return self
