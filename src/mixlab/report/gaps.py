"""What is missing behind a mean, said in its cell with n: nothing is averaged in silence over what is there."""

from mixlab.analysis.cells import Cell, group_cells
from mixlab.analysis.statistics import ROUNDING, Estimate
from mixlab.config.analysis import Selection
from mixlab.report.numbers import Numbers


def describe_gaps(numbers: Numbers, variant_key: str, stage: str, group: Selection) -> str:
    """Say which models, benchmarks and verdicts a mean lacks, and whether its seeds agree; nothing of a whole one.

    Wanted are all models that the point has at this stage, and all benchmarks of the group that any point ran there.
    """
    own = numbers.select(variant_key, stage)
    chosen = [cell for cell in own if _selects(group, cell)]
    found = group_cells(own, group)
    wanted = {one.benchmark for one in numbers.ran(stage) if _selects(group, one)}
    models = len({(one.mixture_seed, one.ipt_seed, one.sft_seed) for cell in own for one in cell.replicates})
    counted = len(found.replicates) if found else 0
    parts = [f"n {counted} of {models}"] if counted < models else []
    if found and len(chosen) < len(wanted):
        parts.append(f"{len(chosen)} of {len(wanted)} benchmarks")
    if found and (agreeing := describe_agreement(found.estimate)):
        parts.append(agreeing)
    if unparsed := _describe_unparsed(chosen):
        parts.append(unparsed)
    return "; ".join(parts)


def describe_agreement(estimate: Estimate) -> str:
    """Say that an error over seeds is zero, but for rounding, because they agree; nothing of any other error."""
    if estimate.se_seeds is None or estimate.se_seeds > ROUNDING * max(1.0, abs(estimate.mean or 0.0)):
        return ""
    return f"{estimate.n_seeds} seeds agree"


def _selects(group: Selection, cell: Cell) -> bool:
    return group.selects(cell.measure, cell.benchmark, cell.category, cell.language)


def _describe_unparsed(cells: list[Cell]) -> str:
    """Count verdicts that are left out, and unread answers, which count as wrong: those from one model's worth on."""
    unparsed, total = sum(cell.n_unparsed for cell in cells), sum(cell.n_answers for cell in cells)
    is_judged = any(cell.measure == "judge_score" for cell in cells)
    is_told = unparsed and (is_judged or any(_lacks_a_model(cell) for cell in cells))
    return f"{unparsed} of {total} unparsed" if is_told else ""


def _lacks_a_model(cell: Cell) -> bool:
    """Whether as many answers are unread as one model gave."""
    return 0 < cell.n_answers <= cell.n_unparsed * len(cell.replicates)
