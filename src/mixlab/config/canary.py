"""How far apart two makings of one artifact may lie, declared here alone."""

from pydantic import Field

from mixlab.config.base import Settings


class CanaryBand(Settings):
    """The band of a canary: for stages that promise equal numbers, not equal bytes.

    A stage that promises bytes has none: it gives the same bytes or it fails. The defaults were chosen, not measured:
    wide enough for another order of sums in bfloat16 (a unit in the last place is 2^-8 of a number, 0.4 %), narrow
    enough that another learning rate, seed or order of windows falls out of it.
    """

    final_loss: float = Field(
        default=0.01, gt=0, description="of training: mean loss of the last tenth of the steps, relative difference"
    )
    step_loss: float = Field(default=0.05, gt=0, description="of training: loss of any step, relative difference")
    weights: float = Field(
        default=0.05, gt=0, description="of training: any weight, relative to the largest of its tensor"
    )
    equal_responses: float = Field(
        default=0.9, ge=0, le=1, description="of generation: share of turns answered by the same text, at least"
    )
    score: float = Field(
        default=0.02, ge=0, description="of generation: difference of the mean score of the responses, from 0 to 1"
    )
    equal_verdicts: float = Field(
        default=0.9, ge=0, le=1, description="of pairwise judging: share of verdicts that are the same, at least"
    )
