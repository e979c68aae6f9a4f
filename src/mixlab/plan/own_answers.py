"""Which of the models of a study are its judge, so that it rates its own answers."""

from collections.abc import Sequence

from mixlab.config.analysis import PointStage
from mixlab.config.judging import JudgeConfig, ModelJudgeConfig
from mixlab.config.served_models import ServedModelConfig
from mixlab.plan.tested import Served, Tested


def find_own_answers(judge: JudgeConfig, tested: Sequence[Tested | Served]) -> tuple[PointStage, ...]:
    """Return variant key and stage of the models that are the judge; `tested` is all of the study's.

    Those are what is served under its name, and the last stage of each point named in `same_as`.
    """
    if not isinstance(judge, ModelJudgeConfig):
        return ()
    named = [model for model in tested if model.point in judge.same_as]
    tuned = {model.point for model in named if model.identity().stage == "after_sft"}
    own = [model for model in named if model.identity().stage != "before_sft" or model.point not in tuned]
    own += [model for model in tested if isinstance(model, Served) and is_judge(judge, model.config)]
    return tuple(sorted({locate_model(model) for model in own}))


def locate_model(model: Tested | Served) -> PointStage:
    """Return the variant key and the stage of a model."""
    return model.variant_key, model.identity().stage


def is_judge(judge: ModelJudgeConfig, served: ServedModelConfig) -> bool:
    """Whether names agree, and revisions where both are stated: what an endpoint has behind a name is its affair."""
    stated = {judge.revision, served.revision} - {None}
    return judge.model == served.model and len(stated) < 2
