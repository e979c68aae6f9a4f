"""Which of the models of a study are its judge, so that it rates its own answers."""

from collections.abc import Sequence

from mixlab.config.judging import JudgeConfig, ModelJudgeConfig
from mixlab.config.served_models import ServedModelConfig
from mixlab.plan.tested import Served, Tested


def find_own_answers(judge: JudgeConfig, tested: Sequence[Tested | Served]) -> tuple[str, ...]:
    """Return the keys of the variants whose model is the judge: served under its name, or named in `same_as`."""
    if not isinstance(judge, ModelJudgeConfig):
        return ()
    own = {
        model.variant_key
        for model in tested
        if model.point in judge.same_as or (isinstance(model, Served) and is_judge(judge, model.config))
    }
    return tuple(sorted(own))


def is_judge(judge: ModelJudgeConfig, served: ServedModelConfig) -> bool:
    """Whether names agree, and revisions where both are stated: what an endpoint has behind a name is its affair."""
    stated = {judge.revision, served.revision} - {None}
    return judge.model == served.model and len(stated) < 2
