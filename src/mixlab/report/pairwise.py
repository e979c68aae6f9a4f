"""Tables of pairwise judging: who won against whom, and how much the place of an answer decided."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from mixlab.analysis.pairwise import PairCell, name_pair
from mixlab.report.numbers import Numbers
from mixlab.report.tables import Column, Section, Shown, Table
from mixlab.report.text import STAGES, UNKNOWN, render_plain, to_anchor

_NAMES = tuple(field.name for field in fields(PairCell) if not field.name.endswith("_key"))
HEADER = ("variant", "against", *_NAMES, "variant_key", "against_key")

_NOTE = (
    "A win counts 1, a tie 1/2. A win is one only where the judge prefers the answer in both orders; two ties, two "
    "orders that disagree, and equal answers are ties. Limits are over items alone: they say nothing of other seeds, "
    "whose standard error stands beside them, nor of other judge runs, whose standard deviation is the spread. An item "
    "counts once; a comparison without two verdicts that can be read counts as unread and nowhere else."
)
_FLIPS_NOTE = (
    "A flip is a comparison in which the two orders disagree. Asked are those whose two verdicts could be read; equal "
    "answers are not asked about. Without position bias as many flips would favour the answer shown first as the one "
    "shown second."
)


def build_pairwise_section(numbers: Numbers) -> Section:
    """Tables by judge, never two judges in one; empty where nothing was compared."""
    tables = []
    for judge in sorted({cell.judge for cell in numbers.pair_cells}):
        cells = _order(numbers, [cell for cell in numbers.pair_cells if cell.judge == judge])
        tables += [_build_results(numbers, judge, cells), _build_flips(numbers, judge, cells)]
    return Section("pairwise", "Pairwise comparisons", list(_describe_own(numbers)), tables=tables)


def _order(numbers: Numbers, cells: Sequence[PairCell]) -> list[PairCell]:
    """In the order in which the report shows its variants."""
    keys = list(dict.fromkeys(variant.variant_key for variant in numbers.variants))
    return sorted(
        cells, key=lambda cell: (keys.index(cell.against_key), keys.index(cell.variant_key), cell.stage, cell.benchmark)
    )


def _build_results(numbers: Numbers, judge: str, cells: Sequence[PairCell]) -> Table:
    columns = _head() + [
        Column(name, "number")
        for name in ("Wins", "Ties", "Losses", "Unread", "Win rate, %", "95 % limits", "SE seeds", "Pairs", "Spread")
    ]
    rows = []
    for cell in cells:
        limits = UNKNOWN if cell.low is None else f"{_percent(cell.low)} to {_percent(cell.high)}"
        rows.append(
            [
                *_show_pair(numbers, cell),
                *(Shown(render_plain(count)) for count in (cell.wins, cell.ties, cell.losses, cell.unparsed)),
                Shown(_show_rate(cell), shade=None if cell.win_rate is None else round(cell.win_rate, 3)),
                Shown(limits),
                Shown(_percent(cell.se_seeds)),
                Shown(render_plain(cell.n_pairs)),
                Shown(_percent(cell.spread)),
            ]
        )
    records = [_record(numbers, cell) for cell in cells]
    title, origins = f"Answers compared by: {judge}", [_list_origins(numbers, cell) for cell in cells]
    return Table("pairwise", title, tuple(columns), rows, HEADER, records, _NOTE, origins=origins)


def _build_flips(numbers: Numbers, judge: str, cells: Sequence[PairCell]) -> Table:
    names = ("Asked", "Flips", "Flips, % of asked", "For the first place", "% of flips", "Equal answers")
    columns = _head() + [Column(name, "number") for name in names]
    rows, records = [], []
    for cell in cells:
        shares = _divide(cell.flipped, cell.asked), _divide(cell.flipped_to_first, cell.flipped)
        counts = (cell.asked, cell.flipped, shares[0], cell.flipped_to_first, shares[1], cell.identical)
        shown = [_percent(one) if isinstance(one, float) or one is None else render_plain(one) for one in counts]
        rows.append([*_show_pair(numbers, cell), *(Shown(text) for text in shown)])
        place = [cell.stage, cell.benchmark, cell.category, cell.judge]
        labels = [numbers.label(key) for key in (cell.variant_key, cell.against_key)]
        records.append([*labels, *place, *counts, cell.variant_key, cell.against_key])
    header = ["variant", "against", "stage", "benchmark", "category", "judge", "asked", "flipped", "flip_rate"]
    header += ["flipped_to_first", "first_rate", "identical", "variant_key", "against_key"]
    title = f"What the place of an answer decided: {judge}"
    origins = [_list_origins(numbers, cell) for cell in cells]
    return Table("pairwise_flips", title, tuple(columns), rows, header, records, _FLIPS_NOTE, origins=origins)


def _show_rate(cell: PairCell) -> str:
    return _percent(cell.win_rate) if cell.win_rate is not None else f"none parsed of {cell.comparisons}"


def _list_origins(numbers: Numbers, cell: PairCell) -> list[str]:
    """The comparisons, and the ratings of the answers that were compared; a served model has a stage of its own."""
    ratings = [
        name
        for key in (cell.variant_key, cell.against_key)
        for name in numbers.cells_named(key, (cell.stage, "served"), (cell.benchmark,), "judge_score")
    ]
    return [*numbers.pair_keys.get(name_pair(cell), ()), *dict.fromkeys(ratings)]


def _describe_own(numbers: Numbers) -> Iterator[str]:
    """Say how often the judge preferred answers of its own model, and what that can and cannot mean."""
    for cell in numbers.pair_cells:
        if cell.own and not cell.category:
            own, other = (cell.variant_key, cell.against_key)[:: 1 if cell.own == "variant" else -1]
            counted = cell.comparisons - cell.unparsed
            yield (
                f"{numbers.label(own)} is the judge's own model, {cell.judge}: against {numbers.label(other)} the "
                f"judge's own answers have a win rate of {_percent(cell.own_win_rate)} % in {render_plain(counted)} "
                f"comparisons of {cell.benchmark} ({STAGES[cell.stage]}). How good they truly are is contained in "
                "that: it is self-preference only as far as another judge, or people, would say otherwise."
            )


def _head() -> list[Column]:
    return [Column("Variant"), Column("Against"), Column("Stage"), Column("Benchmark"), Column("Category")]


def _show_pair(numbers: Numbers, cell: PairCell) -> list[Shown]:
    keys = {"variant": cell.variant_key, "against": cell.against_key}
    models = [
        Shown(
            f"{numbers.label(key)}{' (the judge itself)' if cell.own == side else ''}",
            anchor=to_anchor("lineage", key),
        )
        for side, key in keys.items()
    ]
    category = Shown(cell.category or "all", tone="" if cell.category else "muted")
    return [*models, Shown(STAGES[cell.stage]), Shown(cell.benchmark), category]


def _record(numbers: Numbers, cell: PairCell) -> list[object]:
    labels = [numbers.label(key) for key in (cell.variant_key, cell.against_key)]
    return [*labels, *(getattr(cell, name) for name in _NAMES), cell.variant_key, cell.against_key]


def _divide(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share * 100:.1f}"
