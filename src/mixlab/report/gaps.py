"""What is missing behind a mean, said in its cell with n: nothing is averaged in silence over what is there."""

from mixlab.analysis.cells import Cell, group_cells
from mixlab.config.analysis import Selection
from mixlab.report.numbers import Numbers


def describe_gaps(numbers: Numbers, variant_key: str, stage: str, group: Selection) -> str:
    """Say which models, benchmarks and verdicts a mean lacks, and whether its seeds agree; nothing of a whole one.

    Wanted are all models that the point has at this stage, and all benchmarks of the group that any point ran there.
    """
    own = numbers.select(variant_key, stage)
    chosen = [cell for cell in own if _selects(group, cell)]
    found = group_cells(own, group)
    wanted = {cell.benchmark for cell in numbers.cells if cell.stage == stage and _selects(group, cell)}
    models = len({(one.mixture_seed, one.ipt_seed, one.sft_seed) for cell in own for one in cell.replicates})
    counted = len(found.replicates) if found else 0
    parts = [f"n {counted} of {models}"] if counted < models else []
    if found and len(chosen) < len(wanted):
        parts.append(f"{len(chosen)} of {len(wanted)} benchmarks")
    if found and found.estimate.se_seeds == 0:
        parts.append(f"{found.estimate.n_seeds} seeds agree")
    if unparsed := _describe_unparsed(chosen):
        parts.append(unparsed)
    return "; ".join(parts)


def _selects(group: Selection, cell: Cell) -> bool:
    return group.selects(cell.measure, cell.benchmark, cell.category, cell.language)


def _describe_unparsed(cells: list[Cell]) -> str:
    """Count verdicts that are left out, and answers of which nothing could be read at all: those count as wrong."""
    unparsed, total = sum(cell.n_unparsed for cell in cells), sum(cell.n_answers for cell in cells)
    is_judged = any(cell.measure == "judge_score" for cell in cells)
    is_told = unparsed and (is_judged or any(cell.n_unparsed == cell.n_answers for cell in cells))
    return f"{unparsed} of {total} unparsed" if is_told else ""
