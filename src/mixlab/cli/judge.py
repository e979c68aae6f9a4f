"""`mixlab judge`: what model judges would cost, and what they have cost."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice

import click

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Draft, Store
from mixlab.cli._common import example, json_option, open_store, print_json, render_table, study_option
from mixlab.config.judge_budget import PICO, JudgingSettings
from mixlab.config.judging import JudgeSettings, ModelJudgeSettings, RuleJudgeSettings
from mixlab.config.pairwise import PairJudgeSettings
from mixlab.config.problems import ConfigError
from mixlab.config.studies import load_main_config
from mixlab.evaluation.judges.estimate import JudgeWork, estimate_items, estimate_prompts
from mixlab.evaluation.judges.pair_judge import estimate_pairs, preference_form, render_turns
from mixlab.evaluation.judges.questions import rating_form
from mixlab.evaluation.judges.store import VerdictStore
from mixlab.evaluation.judging import render_prompts
from mixlab.evaluation.scoring import pair_responses
from mixlab.generation.responses import read_responses
from mixlab.plan.build import Planned, build_plan, check_budgets
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Node, find_study
from mixlab.plan.planfile import PlanFile
from mixlab.plan.specs import GenerateSpec, JudgePairsSpec, JudgeSpec
from mixlab.plan.stages import STAGES
from mixlab.stages.doorway import open_inputs
from mixlab.stages.job import Inputs, Session
from mixlab.stages.judge import STORE
from mixlab.stages.source import read_source

_COST = ("study", "judge", "verdicts", "to ask", "prompt tokens", "reply tokens, at most", "cost, at most")
_SPENT = (
    "study",
    "model",
    "calls",
    "replies",
    "prompt tokens",
    "response tokens",
    "cost",
    "cap of calls",
    "cap of cost",
)


@dataclass
class _Line:
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


@click.group(epilog=example("mixlab judge cost --study mine", "mixlab judge spent"))
def command() -> None:
    """Language models as judges: what they would cost, and what they have cost.

    Each of the commands takes --json and --help.
    """


@command.command(epilog=example("mixlab judge cost --study mine"))
@study_option
@json_option
def cost(studies: Sequence[str], as_json: bool) -> None:
    """Estimate what is left to ask of model judges and its price; nothing is asked.

    Where responses are there, exactly what is not in the store counts; where not, every verdict, with responses of
    the longest kind. Repeated attempts and tries are not in it. Without --study: the studies that config.yaml names.
    """
    store = open_store()
    planned = build_plan(store.root, studies, check_files=False)
    lines = _estimate(store, planned)
    judging = planned.config.machine.judging
    if as_json:
        print_json([_describe(line, judging) for line in lines])
    elif not lines:
        click.echo("nothing is left for a model judge to rate")
    else:
        click.echo(render_table(_COST, [_render(line, judging) for line in lines]))
        for note in _list_notes(lines, judging):
            click.echo(note)


@command.command(epilog=example("mixlab judge spent"))
@json_option
def spent(as_json: bool) -> None:
    """Say what was spent on model judges, by study and model, and the caps of config.yaml.

    A call that got no reply counts with the highest cost it can have had.
    """
    root = open_store().root
    config = load_main_config(root)
    if problems := check_budgets(config, root):
        raise ConfigError(problems)
    judging = config.machine.judging
    rows = []
    if (root / STORE).exists():
        with VerdictStore(root / STORE) as store:
            rows = store.list_spent()
    if as_json:
        told = [
            {**asdict(row), "cost": row.cost_pico / PICO, "budget": judging.budget_of(row.study).model_dump()}
            for row in rows
        ]
        print_json({"currency": judging.currency, "spent": told})
        return
    if not rows:
        click.echo("nothing was spent: no model judge was asked")
        return
    table = []
    for row in rows:
        budget = judging.budget_of(row.study)
        caps = [_or_none(budget.max_calls), _or_none(budget.max_cost)]
        paid = _render_money(row.cost_pico, judging)
        counts = (row.calls, row.replies, row.prompt_tokens, row.response_tokens)
        table.append([row.study, row.model, *counts, paid, *caps])
    click.echo(render_table(_SPENT, table))


def _estimate(store: Store, planned: Planned) -> list[_Line]:
    """Estimate what the artifacts of judges that would run ask, by study, judge, and what it is asked."""
    states = read_states(store, STAGES)
    targets = [key for wanted in planned.plan.targets.values() for key in wanted]
    lines: dict[tuple[str, str, str], _Line] = {}
    with VerdictStore(store.root / STORE) as verdicts:
        for key in build_demand(planned.plan, states, targets).run:
            node = planned.plan.nodes[key]
            if not isinstance(node.spec, (JudgeSpec, JudgePairsSpec)) or isinstance(node.spec.judge, RuleJudgeSettings):
                continue
            study = find_study(node.labels, planned.plan.targets)
            line = lines.setdefault((study, node.stage, node.spec.judge.label), _Line(study, node.spec.judge))
            work = _estimate_node(store, planned, node, node.spec, verdicts)
            if work is None:
                line.unknown += 1
            else:
                line.work += work
    return list(lines.values())


def _estimate_node(
    store: Store, planned: Planned, node: Node, spec: JudgeSpec | JudgePairsSpec, verdicts: VerdictStore
) -> JudgeWork | None:
    nodes = planned.plan.nodes
    (items,) = node.parents["items"]
    if not store.is_complete(nodes[items].stage, items):
        return None
    answers = {role: nodes[keys[0]] for role, keys in node.parents.items() if role != "items"}
    is_there = all(store.is_complete("generate", one.key) for one in answers.values())
    inputs = _open(store, planned, node, ("items", *answers) if is_there else ("items",))
    rows = read_source(inputs.spec("items"), inputs.one("items"), inputs)
    if is_there:
        said = [read_responses(inputs.one(role)) for role in answers]
        if isinstance(spec, JudgePairsSpec):
            turns = render_turns(spec.judge, rows, (said[0], said[1]))
            compared = [prompt for turn in turns for prompt in turn.prompts]
            return estimate_prompts(spec.judge, compared, spec.judge_run, preference_form(spec.judge), verdicts)
        judge = _require_model(spec.judge)
        prompts = [prompt for pair in pair_responses(rows, said[0]) for prompt in render_prompts(judge, pair)]
        return estimate_prompts(judge, prompts, spec.judge_run, rating_form(judge), verdicts)
    generates = [one.spec for one in answers.values() if isinstance(one.spec, GenerateSpec)]
    asked = islice(rows, generates[0].prompt.limit)
    tokens = sum(one.prompt.sampling.max_new_tokens for one in generates)
    if isinstance(spec, JudgePairsSpec):
        return estimate_pairs(spec.judge, asked, tokens)
    return estimate_items(_require_model(spec.judge), asked, tokens)


def _require_model(judge: JudgeSettings) -> ModelJudgeSettings:
    if not isinstance(judge, ModelJudgeSettings):
        raise TypeError(f"expected a model judge, got {type(judge).__name__}")
    return judge


def _open(store: Store, planned: Planned, node: Node, roles: Sequence[str]) -> Inputs:
    """Open some of a node's parents as its job would."""
    part = replace(node, parents={role: node.parents[role] for role in roles}, reads={})
    plan_file = PlanFile(planned.plan, planned.config.machine, planned.files)
    return open_inputs(plan_file, part, store, Draft(store, *node.name), Session())


def _describe(line: _Line, judging: JudgingSettings) -> dict[str, object]:
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


def _render(line: _Line, judging: JudgingSettings) -> list[str]:
    bound = line.work.max_cost_pico(judging.price_of(line.judge.model))
    work = line.work
    return [
        line.study,
        f"{line.judge.label}{', pairwise' if line.is_pairwise else ''}",
        str(work.verdicts),
        f"{'' if work.is_exact else 'up to '}{work.to_ask}",
        f"{'about' if work.is_exact else 'up to'} {work.prompt_tokens}",
        str(work.max_reply_tokens),
        "no price" if bound is None else _render_money(bound, judging),
    ]


def _list_notes(lines: Iterable[_Line], judging: JudgingSettings) -> Iterable[str]:
    for model in dict.fromkeys(line.judge.model for line in lines):
        price = judging.price_of(model)
        if price is None:
            yield judging.explain_unpriced(model)
        else:
            yield (
                f"{model}: {price.prompt_per_million:g} and {price.response_per_million:g} {judging.currency} a "
                f"million tokens of prompts and replies on {price.date} ({price.source})"
            )
    if unknown := sum(line.unknown for line in lines):
        yield f"in no sum: {unknown} judgings whose items are not here yet; their sources come first"


def _render_money(pico: int, judging: JudgingSettings) -> str:
    return f"{pico / PICO:.4f} {judging.currency}"


def _or_none(cap: float | None) -> str:
    return "none" if cap is None else f"{cap:g}"
