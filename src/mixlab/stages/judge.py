"""Host of stage judge: a rule rates in this process, a model by way of an endpoint and the store of verdicts."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mixlab.config.judging import AskedJudge, ModelJudgeSettings
from mixlab.config.problems import ConfigError
from mixlab.evaluation.judging import write_verdicts
from mixlab.plan.graph import find_study
from mixlab.plan.specs import JudgeSpec
from mixlab.stages.job import Inputs
from mixlab.stages.places import STORE as STORE
from mixlab.stages.source import read_source

if TYPE_CHECKING:
    from mixlab.evaluation.judges.asking import Asker
    from mixlab.evaluation.judges.store import VerdictStore


def run(spec: JudgeSpec, inputs: Inputs, out: Path) -> Mapping[str, str] | None:
    """Rate a model's responses, turn by turn."""
    items = read_source(inputs.spec("items"), inputs.one("items"), inputs)
    judge, responses, judge_run = spec.judge, inputs.one("responses"), spec.judge_run
    if not isinstance(judge, ModelJudgeSettings):
        write_verdicts(judge, items, responses, judge_run, out)
        return None
    # an event loop and an HTTP client take a moment to import, and a rule needs neither
    from mixlab.evaluation.judges.model_judge import write_model_verdicts

    return ask_model(
        judge, inputs, partial(write_model_verdicts, judge, items, responses, judge_run, out, work=inputs.resume)
    )


def ask_model(judge: AskedJudge, inputs: Inputs, write: Callable[..., None]) -> Mapping[str, str]:
    """Let `write` judge, given the `store` of verdicts and `open_asker`; return what the study has spent so far."""
    from mixlab.evaluation.judges.model_judge import describe_spent
    from mixlab.evaluation.judges.store import VerdictStore

    study = find_study(inputs.node.labels, inputs.plan.targets)
    with ExitStack() as stack:
        store = stack.enter_context(VerdictStore(STORE))
        write(store=store, open_asker=lambda: stack.enter_context(_open_asker(judge, study, store, inputs)))
        told = describe_spent(store, study, judge.model, inputs.machine.judging.currency)
    return {"judged": told}


def _open_asker(judge: AskedJudge, study: str, store: "VerdictStore", inputs: Inputs) -> "Asker":
    """Open who is asked; raises ConfigError where this machine does not say where, or what a capped call costs."""
    from mixlab.evaluation.judges.asking import Asker
    from mixlab.evaluation.judges.store import Account
    from mixlab.stages.endpoints import open_endpoint

    settings = inputs.machine.judging
    budget, price = settings.budget_of(study), settings.price_of(judge.model)
    if budget.max_cost is not None and price is None:
        raise ConfigError(f"machine.judging: max_cost is set, but {settings.explain_unpriced(judge.model)}")
    return Asker(open_endpoint(judge.place, inputs), store, Account(study, judge.model, budget), price)
