"""The card of a model that leaves: a README.md in the format of Hugging Face, written from the model's lineage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from mixlab.analysis.cells import Cell
from mixlab.config.analysis import find_range
from mixlab.config.report_data import DataShown, ShownMixture
from mixlab.report.certificate_figures import list_sources, read_total
from mixlab.report.certificate_page import list_cautions
from mixlab.report.data import DataFigures
from mixlab.report.data_tables import NOT_HERE, summarise_contamination
from mixlab.report.markdown import escape
from mixlab.report.text import UNKNOWN, describe_measure, render_plain, render_score

NO_LICENCE = "unknown"
"""Hugging Face's word for a licence that nobody stated: that of the data does not decide that of the weights."""
INTERVALS = (
    "Intervals of 95 % are over items: how the mean may differ on other questions of the same kind. They say nothing "
    "about other seeds. Of accuracies Wilson's: it holds 95 % on average over true values, and less near 0 and 100 %. "
    "Of judge scores Student's t over the items' means, which is rough where items are few."
)


@dataclass(frozen=True)
class Step:
    """One step by which a model was made, oldest first: `settings` by dotted name, `seeds` by name."""

    stage: str
    key: str
    digest: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    made: str = ""


@dataclass(frozen=True)
class CardFacts:
    """What a card says of a model.

    `base_id`: the base model's id on the hub, empty where it comes from elsewhere; `base`: the same in words. `cells`:
    what the model scored, one cell for each benchmark; `unscored`: why there are none. `mixtures`: those it was trained
    on, oldest first. `study`: the study's name, `command`: what makes the model again.
    """

    name: str
    study: str
    title: str
    reference: str
    licence: str
    base_id: str
    base: str
    languages: Sequence[str]
    datasets: Sequence[str]
    steps: Sequence[Step]
    shown: DataShown
    mixtures: Sequence[ShownMixture]
    figures: DataFigures
    cells: Sequence[Cell]
    unscored: str
    commit: str
    command: str


def find_interval(cell: Cell) -> tuple[float, float] | None:
    """Return the 95 % interval of one model's mean over items, within the measure's range.

    Judge scores: mean ± Student's t. All others lie from 0 to 1: Wilson's score interval (1927, Journal of the American
    Statistical Association 22), which errs on the wide side where an item's score is a mean of several answers. It is
    about other questions of the same kind, not about other seeds. None where `explain_interval` says why.
    """
    mean, error, count = cell.estimate.mean, cell.estimate.se_items, cell.estimate.n_items
    if mean is None or explain_interval(cell):
        return None
    lowest, highest = find_range(cell.measure)
    # both take a second to load
    if cell.measure == "judge_score":
        from scipy.stats import t as student

        if error is None:
            raise ValueError(f"{cell.benchmark}: {count} items that differ have an error")
        reach = float(student.ppf(0.975, count - 1)) * error
        return max(lowest, mean - reach), min(highest, mean + reach)
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(mean * count, count, method="wilson")
    return max(lowest, float(low)), min(highest, float(high))


def explain_interval(cell: Cell) -> str:
    """Say why a mean has no interval; nothing where it has one."""
    if cell.estimate.mean is None:
        return "no scores"
    if cell.measure != "judge_score" or cell.estimate.se_items is not None:
        return ""
    return "one item" if cell.estimate.n_items == 1 else "all items score the same"


def render_model_card(facts: CardFacts) -> str:
    """Render the whole README.md: metadata between `---`, then the card."""
    parts = [
        f"# {escape(facts.name)}",
        f"{_describe(facts)}",
        *_render_use(),
        *_render_steps(facts),
        *_render_data(facts),
        *_render_scores(facts),
        *_render_reproduce(facts),
    ]
    return f"---\n{build_metadata(facts).to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def build_metadata(facts: CardFacts) -> ModelCardData:
    """Build the front matter; a field of which nothing is known is left out."""
    results = [_to_result(cell) for cell in facts.cells if cell.estimate.mean is not None]
    return ModelCardData(
        language=list(facts.languages) or None,
        license=facts.licence,
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=facts.base_id or None,
        datasets=list(facts.datasets) or None,
        tags=["mixlab"],
        metrics=sorted({cell.measure for cell in facts.cells}) or None,
        model_name=facts.name if results else None,
        eval_results=results or None,
    )


def _to_result(cell: Cell) -> EvalResult:
    interval = find_interval(cell)
    args = {"n_items": cell.estimate.n_items, "unparsed": cell.n_unparsed}
    if interval:
        args |= {"interval_95_low": round(interval[0], 6), "interval_95_high": round(interval[1], 6)}  # type: ignore[dict-item]
    return EvalResult(
        task_type="text-generation",
        task_name="Text generation",
        dataset_type=cell.benchmark,
        dataset_name=cell.benchmark,
        dataset_config=cell.language,
        metric_type=cell.measure,
        metric_name=f"{cell.measure} by {cell.judge}" if cell.judge else cell.measure,
        metric_value=round(cell.estimate.mean or 0.0, 6),
        metric_args=args,
    )


def _describe(facts: CardFacts) -> str:
    steps = " → ".join(step.stage for step in facts.steps)
    return (
        f"A causal language model of the study “{escape(facts.title)}”, made by {steps}. "
        f"Base model: {escape(facts.base)}. Artifact `{facts.reference}`; everything below is written from its lineage."
    )


def _render_use() -> Iterator[str]:
    yield "## Use"
    yield (
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'tokenizer = AutoTokenizer.from_pretrained(".")\n'
        'model = AutoModelForCausalLM.from_pretrained(".")\n'
        'messages = [{"role": "user", "content": "…"}]\n'
        "inputs = tokenizer.apply_chat_template(\n"
        '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"\n)\n'
        "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=200)[0]))\n```"
    )


def _render_steps(facts: CardFacts) -> Iterator[str]:
    yield "## How it was made"
    for step in facts.steps:
        yield f"### {step.stage} `{step.key}`"
        told = [f"Digest `{step.digest}`." if step.digest else "Its bytes are not here."]
        told += [f"Made {step.made}."] if step.made else []
        yield " ".join(told)
        rows = [[f"`{name}`", _cell(value)] for name, value in step.settings.items()]
        if rows:
            yield _table(["setting", "value"], rows)


def _render_data(facts: CardFacts) -> Iterator[str]:
    yield "## Data"
    if not facts.mixtures:
        yield "No mixture of this study is behind this model."
    for mixture in facts.mixtures:
        yield f"### Mixture {escape(mixture.label)} (`{mixture.key}`), for {', '.join(mixture.purposes)}"
        yield from _render_mixture(facts, mixture)


def _render_mixture(facts: CardFacts, mixture: ShownMixture) -> Iterator[str]:
    named = [facts.shown.source(name) for name in mixture.sources]
    found = facts.figures.certificates.get(mixture.key)
    if found is None:
        yield f"Its certificate is {NOT_HERE}; sources: {escape(', '.join(mixture.sources))}."
        return
    certificate, digest = found
    total = read_total(certificate)
    yield f"{render_plain(total.tokens)} tokens, seed {certificate['seed']}; certificate sha256 `{digest}`."
    rows = [
        [
            _cell(line.part),
            *(render_score("accuracy", line.achieved), render_plain(line.tokens), f"{line.epochs:.2f}"),
            *map(_cell, (source.licence, ", ".join(source.tiers) or UNKNOWN, source.permission)),
        ]
        for line, source in zip(list_sources(certificate, mixture.sources), named, strict=True)
    ]
    yield _table(["source", "share, %", "tokens", "epochs", "licence", "tier", "by the study's policy"], rows)
    yield f"Contamination: {escape(summarise_contamination(facts.shown, facts.figures, named).text)}."
    if cautions := list_cautions(facts.shown, mixture, facts.figures):
        yield "\n".join(f"* {escape(caution)}" for caution in cautions)


def _render_scores(facts: CardFacts) -> Iterator[str]:
    yield "## Scores"
    if not facts.cells:
        yield f"{escape(facts.unscored)}."
        return
    yield INTERVALS
    rows = []
    for cell in facts.cells:
        interval = find_interval(cell)
        missing = f"{UNKNOWN} ({explain_interval(cell)})"
        shown = " to ".join(render_score(cell.measure, one) for one in interval) if interval else missing
        measure = describe_measure(cell.measure) + (f", by {cell.judge}" if cell.judge else "")
        counts = [render_plain(one) for one in (cell.estimate.n_items, cell.n_answers, cell.n_unparsed)]
        mean = render_score(cell.measure, cell.estimate.mean)
        rows.append([_cell(cell.benchmark), _cell(cell.language), _cell(measure), mean, shown, *counts])
    yield _table(["benchmark", "language", "measure", "mean", "95 %", "items", "answers", "unparsed"], rows)


def _render_reproduce(facts: CardFacts) -> Iterator[str]:
    yield "## Reproduce"
    commit = f"at commit `{facts.commit}` " if facts.commit else ""
    yield f"In the study's repository {commit}with its `sources.lock`:"
    yield f"```text\n{facts.command}\nmixlab explain {facts.reference.partition(':')[0]}\n```"
    yield (
        "The same key asks for the same data, settings and seeds. Equal bytes are promised on one process with fixed "
        "threads, equal numbers up to rounding elsewhere."
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _cell(value: Any) -> str:
    return escape(UNKNOWN if value is None else str(value))
