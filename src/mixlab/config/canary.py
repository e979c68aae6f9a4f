"""How far apart two makings of one artifact may lie, declared here alone."""

from pydantic import Field

from mixlab.config.base import Settings


class CanaryBand(Settings):
    """The band of a canary: for stages that promise equal numbers, not equal bytes.

    A stage that promises bytes has none, nor has a training that was made both times on a CPU, by one process and
    under the same conditions: they give the same bytes or they fail.

    Measured on IPT and SFT of the micro study, relative to the update: other micro-batches or threads move weights by
    0.0045 at most in bfloat16 (less than 0.00005 in float32), a learning rate 10 % higher by 0.097, another seed by
    0.24. Losses tell less: another seed moved the final one by 0.0076, rounding by 0.0008.
    """

    final_loss: float = Field(
        default=0.01, gt=0, description="of training: mean loss of the last tenth of the steps, relative difference"
    )
    step_loss: float = Field(default=0.05, gt=0, description="of training: loss of any step, relative difference")
    update: float = Field(
        default=0.03,
        gt=0,
        description="of training: distance of both models, relative to how far the old one moved from its beginning",
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
