"""What model judges were really asked and what was paid, beside the bound: a part of `mixlab price --actual`."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mixlab.artifacts.store import Store
from mixlab.cli._judge_cost import render_money
from mixlab.config.judge_budget import PICO, JudgingSettings
from mixlab.config.judging import RuleJudgeSettings
from mixlab.evaluation.judges.estimate import JudgeWork
from mixlab.evaluation.judges.store import Spent, VerdictStore
from mixlab.plan.actual import Decided, read_decided
from mixlab.plan.graph import Node, find_study
from mixlab.plan.specs import JudgePairsSpec, JudgeSpec
from mixlab.stages.counting import Counter
from mixlab.stages.places import STORE

_COUNTS = ("verdicts", "distinct", "calls", "to ask", "prompt tokens", "predicted", "reply tokens", "at most")
HEADER = ("study", "stage", "judge", *_COUNTS, "cost, at most")


@dataclass
class JudgeActual:
    """What the verdicts of one judge in one stage of a study took, each distinct one once, beside what was predicted.

    The prediction is of first attempts, as if no verdict were in the store; `unknown` artifacts are in none, since
    their items are not here. Calls are attempts that were answered. Tokens are of the replies that decided.
    """

    study: str
    stage: str
    judge: str
    model: str
    predicted: JudgeWork = field(default_factory=JudgeWork)
    unknown: int = 0
    verdicts: int = 0
    distinct: dict[str, Decided] = field(default_factory=dict)

    @property
    def took(self) -> Decided:
        """The sum over distinct verdicts."""
        return sum(self.distinct.values(), Decided())


@dataclass(frozen=True)
class JudgingActual:
    """Judges of the plan's studies, and what the store of verdicts says that these spent on their models, ever."""

    settings: JudgingSettings
    judges: Sequence[JudgeActual]
    spent: Sequence[Spent]


def compare_judging(store: Store, counter: Counter, nodes: Iterable[Node]) -> JudgingActual:
    """Compare what model judges took in artifacts that were made; raises ArtifactError where one cannot be read."""
    plan = counter.planned.plan
    lines: dict[tuple[str, str, str], JudgeActual] = {}
    counted: set[bytes] = set()
    with _forgetting_verdicts(counter) as unasked:
        for node in nodes:
            if not isinstance(node.spec, (JudgeSpec, JudgePairsSpec)) or isinstance(node.spec.judge, RuleJudgeSettings):
                continue
            judge, study = node.spec.judge, find_study(node.labels, plan.targets)
            name = study, node.stage, judge.label
            line = lines.setdefault(name, JudgeActual(*name, judge.model))
            work = unasked.estimate_judging(node, counted)
            if work is None:
                line.unknown += 1
            else:
                line.predicted += work
            for verdict, decided in read_decided(store, node):
                line.verdicts += 1
                line.distinct[verdict] = decided
    return JudgingActual(counter.planned.config.machine.judging, list(lines.values()), _list_spent(store, plan.targets))


@contextmanager
def _forgetting_verdicts(counter: Counter) -> Iterator[Counter]:
    """A counter that finds no verdict: what is in the store now was asked since."""
    with (
        tempfile.TemporaryDirectory(prefix="mixlab-verdicts-") as folder,
        VerdictStore(Path(folder) / STORE.name) as empty,
    ):
        yield replace(counter, verdicts=empty, _work={})


def _list_spent(store: Store, studies: Iterable[str]) -> list[Spent]:
    path = store.root / STORE
    if not path.exists():
        return []
    with VerdictStore(path) as verdicts:
        return [one for study in studies for one in verdicts.list_spent(study)]


def describe_judging(judging: JudgingActual) -> dict[str, Any]:
    """Describe the comparison for JSON; costs are in `currency`, None where a model has no price."""
    return {
        "currency": judging.settings.currency,
        "judges": [_describe_line(line, judging.settings) for line in judging.judges],
        "spent": [{**asdict(one), "cost": one.cost_pico / PICO} for one in judging.spent],
    }


def _describe_line(line: JudgeActual, settings: JudgingSettings) -> Mapping[str, Any]:
    bound = _bound_cost(line, settings)
    return {
        "study": line.study,
        "stage": line.stage,
        "judge": line.judge,
        "model": line.model,
        "verdicts": line.verdicts,
        "distinct_verdicts": len(line.distinct),
        "calls": line.took.attempts,
        "prompt_tokens": line.took.prompt_tokens,
        "reply_tokens": line.took.reply_tokens,
        "predicted": None if line.unknown else asdict(line.predicted),
        "max_cost": None if bound is None else bound / PICO,
    }


def _bound_cost(line: JudgeActual, settings: JudgingSettings) -> int | None:
    return None if line.unknown else line.predicted.max_cost_pico(settings.price_of(line.model))


def render_judge(line: JudgeActual, settings: JudgingSettings) -> list[str]:
    """Render a row for HEADER."""
    work, took, bound = line.predicted, line.took, _bound_cost(line, settings)
    at_most = ["?"] * 3
    if not line.unknown:
        up_to = "" if work.is_exact else "up to "
        at_most = [f"{up_to}{work.to_ask}", f"{up_to or 'about '}{work.prompt_tokens}", str(work.max_reply_tokens)]
    said = [str(line.verdicts), str(len(line.distinct)), str(took.attempts), at_most[0], str(took.prompt_tokens)]
    cost = "?" if line.unknown else "no price" if bound is None else render_money(bound, settings)
    return [line.study, line.stage, line.judge, *said, at_most[1], str(took.reply_tokens), at_most[2], cost]


def list_spent_notes(judging: JudgingActual) -> Iterator[str]:
    """Say what the store of verdicts counts, for every study and model."""
    for one in judging.spent:
        yield (
            f"spent by '{one.study}' on {one.model}, ever: {one.calls} calls, {one.replies} replies, "
            f"{one.prompt_tokens} prompt and {one.response_tokens} reply tokens, "
            f"{render_money(one.cost_pico, judging.settings)}"
        )
