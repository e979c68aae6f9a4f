"""Who leads: only variants of which everything is here are ranked, the others are named with their numbers."""

from mixlab.analysis.cells import Cell
from mixlab.analysis.statistics import Estimate, Replicate
from mixlab.config.analysis import ReportSettings, VariantLabel
from mixlab.report.numbers import Numbers, build_groups
from mixlab.report.site.findings import list_findings


def make_cell(variant: str, benchmark: str, *means: float | None) -> Cell:
    known = [mean for mean in means if mean is not None]
    estimate = Estimate(sum(known) / len(known), None, None, len(known), 0.01, 100)
    replicates = tuple(Replicate(1, 1, seed, mean) for seed, mean in enumerate(means))
    return Cell(variant, "after_sft", benchmark, "accuracy", "en", "math", None, estimate, replicates, 300, 0)


def find_leader(*cells: Cell) -> str:
    variants = tuple(VariantLabel(label=name.upper(), variant_key=name) for name in ("a", "b", "c"))
    none: dict = {}
    numbers = Numbers(variants, build_groups(cells), cells, none, [], none, none, none)
    said = map(str, list_findings(ReportSettings(title="t", variants=variants), numbers))
    return next(one for one in said if "On " in one)


WHOLE = (make_cell("b", "easy", 0.6, 0.6), make_cell("b", "hard", 0.6, 0.7))


def test_a_variant_of_which_models_are_missing_does_not_lead() -> None:
    partly = (make_cell("a", "easy", 0.9, 0.1), make_cell("a", "hard", 0.9, None))
    said = find_leader(*partly, *WHOLE, make_cell("c", "easy", 0.5, 0.5), make_cell("c", "hard", 0.5, 0.4))
    assert "the highest mean is that of B, 62.5" in said and "(n = 2); next is C, 47.5" in said
    assert said.endswith("Not ranked, being incomplete: A (1 of 2 models complete, 2 of 2 benchmarks).")
    assert "standard errors of the difference" not in said


def test_a_variant_without_the_hard_benchmark_is_not_compared() -> None:
    said = find_leader(make_cell("a", "easy", 0.9, 0.9), *WHOLE)
    assert "no two variants are complete, so that none leads." in said
    assert said.endswith("A (2 of 2 models complete, 1 of 2 benchmarks).")
