"""How `mixlab check-benchmarks --against-lm-eval` compares our extraction with that of a task of lm-eval."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mixlab.cli._common import print_json, render_table
from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.lm_eval import LmEvalUse
from mixlab.config.lm_eval_files import read_task
from mixlab.config.lm_eval_rules import name_filters
from mixlab.config.problems import ConfigError
from mixlab.config.scorers import FinalNumberSettings, LmEvalScorerSettings
from mixlab.data.records import Record
from mixlab.evaluation.lm_eval_agreement import Agreement, build_reference_pairs, compare_extraction
from mixlab.evaluation.scoring import pair_responses
from mixlab.generation.responses import FILE, read_responses

_HEADER = ("filter", "responses", "agree", "right by ours alone", "right by lm-eval alone", "other number")
_SHOWN = 20


def compare_with_task(
    declaration: BenchmarkDeclaration, items: Sequence[Record], task: str, responses: Path | None, *, as_json: bool
) -> None:
    """Print where our scorer and each filter of the task differ: on stored responses, else on references.

    Raises ConfigError for a task that is not there, and for a folder that holds no responses.
    """
    scoring = declaration.scoring
    if not isinstance(scoring, FinalNumberSettings):
        raise ConfigError("lm-eval is compared with the scorer final_number; name a benchmark that has it, as gsm8k")
    if responses is not None and not (responses / FILE).is_file():
        raise ConfigError(f"--responses: '{responses}' holds no {FILE}; name the folder of an artifact of `generate`")
    theirs = _list_filters(declaration, task)
    if responses is None:
        pairs = build_reference_pairs(scoring, items)
    else:
        pairs = pair_responses(items, read_responses(responses))
    found = compare_extraction(scoring, theirs, pairs)
    if as_json:
        print_json([{**asdict(one), "agree": one.agree} for one in found])
        return
    click.echo(render_table(_HEADER, [_render(one) for one in found]))
    for one in found:
        for told in one.differences[:_SHOWN]:
            verdicts = tuple("right" if is_right else "wrong" for is_right in (told.ours_right, told.theirs_right))
            ours, theirs_said = told.ours or "nothing", told.theirs or "nothing"
            click.echo(f"{one.filter} {told.item}: ours {ours} ({verdicts[0]}), lm-eval {theirs_said} ({verdicts[1]})")
        if len(one.differences) > _SHOWN:
            click.echo(f"{one.filter}: {len(one.differences) - _SHOWN} more; --json lists all")


def _list_filters(declaration: BenchmarkDeclaration, task: str) -> list[LmEvalScorerSettings]:
    """Return a scorer for each filter of a task that lm-eval brings."""
    scorers = []
    for name in name_filters(read_task(task, None).config):
        use = LmEvalUse(task=task, language=declaration.language, category=declaration.category, filter=name)
        use.place(Path())
        scoring = use.declare().scoring
        if not isinstance(scoring, LmEvalScorerSettings):
            raise TypeError(f"expected the scorer of a task, got {type(scoring).__name__}")
        scorers.append(scoring)
    return scorers


def _render(one: Agreement) -> tuple[str, ...]:
    ours, theirs = one.verdicts
    numbers = (one.responses, one.agree, ours, theirs, len(one.differences) - ours - theirs)
    return (one.filter, *map(str, numbers))
