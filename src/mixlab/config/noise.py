"""What a study expects of its noise before it runs; it decides what `mixlab plan` says and no result."""

from typing import Annotated

from pydantic import Field, model_validator

from mixlab.config.analysis import SelectedMeasure
from mixlab.config.base import Settings

Deviation = Annotated[float, Field(ge=0)]


class MeasureNoise(Settings):
    """Standard deviations of one measure on its own scale, as `mixlab noise` prints them.

    What was not repeated is in what lies outside it: one SFT seed leaves the noise of SFT in `ipt_seed`, one judging
    that of the judge in `sft_seed`. Leave such a level out; its products with the item likewise.
    """

    ipt_seed: Deviation | None = Field(
        default=None, description="of a model's mean from one IPT run to the next; absent: not known"
    )
    sft_seed: Deviation | None = Field(
        default=None,
        description="of a model's mean from one SFT seed to the next, IPT run the same; absent: not known",
    )
    generation_seed: Deviation = Field(default=0.0, description="of a model's mean from one set of answers to the next")
    judge_run: Deviation = Field(default=0.0, description="of the mean of one set of answers between judgings")
    ipt_seed_item: Deviation = Field(default=0.0, description="of what an IPT run does to single items")
    sft_seed_item: Deviation = Field(default=0.0, description="of what an SFT seed does to single items")
    generation_seed_item: Deviation = Field(default=0.0, description="of what a set of answers does to single items")
    answer: Deviation = Field(default=0.0, description="of one score, beyond what its item and its model explain")

    def varies_by_item(self) -> bool:
        """Whether the number of items decides anything."""
        return any((self.ipt_seed_item, self.sft_seed_item, self.generation_seed_item, self.answer))


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
