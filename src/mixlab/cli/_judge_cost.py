"""What is left to ask of model judges, by study and judge: shared by `mixlab judge cost` and `mixlab price`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from mixlab.config.judge_budget import PICO, JudgingSettings
from mixlab.config.judging import ModelJudgeSettings, RuleJudgeSettings
from mixlab.config.pairwise import PairJudgeSettings
from mixlab.evaluation.judges.estimate import JudgeWork
from mixlab.plan.graph import find_study
from mixlab.plan.specs import JudgePairsSpec, JudgeSpec
from mixlab.stages.counting import Counter

COST_HEADER = ("study", "judge", "verdicts", "to ask", "prompt tokens", "reply tokens, at most", "cost, at most")


@dataclass
class JudgeLine:
    """What a study would ask one judge."""

    study: str
    judge: ModelJudgeSettings | PairJudgeSettings
    work: JudgeWork = field(default_factory=JudgeWork)
    unknown: int = 0
    """Artifacts whose items are not here yet, and which are in no sum."""

    @property
    def is_pairwise(self) -> bool:
        """Whether the judge is asked which of two answers is better; two verdicts, one for each order."""
        return isinstance(self.judge, PairJudgeSettings)


def estimate_judging(counter: Counter, keys: Iterable[str]) -> list[JudgeLine]:
    """Estimate what the artifacts of model judges among `keys` ask, by study, stage and judge.

    What several of them ask counts with the first.
    """
    plan = counter.planned.plan
    lines: dict[tuple[str, str, str], JudgeLine] = {}
    counted: set[bytes] = set()
    for key in keys:
        node = plan.nodes[key]
        if not isinstance(node.spec, (JudgeSpec, JudgePairsSpec)) or isinstance(node.spec.judge, RuleJudgeSettings):
            continue
        study = find_study(node.labels, plan.targets)
        line = lines.setdefault((study, node.stage, node.spec.judge.label), JudgeLine(study, node.spec.judge))
        work = counter.estimate_judging(node, counted)
        if work is None:
            line.unknown += 1
        else:
            line.work += work
    return list(lines.values())


def describe_line(line: JudgeLine, judging: JudgingSettings) -> dict[str, object]:
    price = judging.price_of(line.judge.model)
    bound = line.work.max_cost_pico(price)
    return {
        "study": line.study,
        "judge": line.judge.label,
        "pairwise": line.is_pairwise,
        "model": line.judge.model,
        **asdict(line.work),
        "unknown": line.unknown,
        "max_cost": None if bound is None else bound / PICO,
        "currency": judging.currency,
        "price": None if price is None else price.model_dump(),
    }


def render_line(line: JudgeLine, judging: JudgingSettings) -> list[str]:
    bound = line.work.max_cost_pico(judging.price_of(line.judge.model))
    work = line.work
    return [
        line.study,
        f"{line.judge.label}{', pairwise' if line.is_pairwise else ''}",
        str(work.verdicts),
        f"{'' if work.is_exact else 'up to '}{work.to_ask}",
        f"{'about' if work.is_exact else 'up to'} {work.prompt_tokens}",
        str(work.max_reply_tokens),
        "no price" if bound is None else render_money(bound, judging),
    ]


def list_notes(lines: Sequence[JudgeLine], judging: JudgingSettings) -> Iterable[str]:
    for model in dict.fromkeys(line.judge.model for line in lines):
        price = judging.price_of(model)
        if price is None:
            yield judging.explain_unpriced(model)
        else:
            yield (
                f"{model}: {price.prompt_per_million:g} and {price.response_per_million:g} {judging.currency} a "
                f"million tokens of prompts and replies on {price.date} ({price.source})"
            )
    attempts = max((line.judge.attempts for line in lines if line.work.to_ask), default=1)
    if attempts > 1:
        told = f"a reply without a verdict is asked for {attempts} times at most"
        yield f"tokens and cost are those of first attempts; {told}"
    if unknown := sum(line.unknown for line in lines):
        yield f"in no sum: {unknown} judgings whose items are not here yet; their sources come first"


def render_money(pico: int, judging: JudgingSettings) -> str:
    return f"{pico / PICO:.4f} {judging.currency}"
