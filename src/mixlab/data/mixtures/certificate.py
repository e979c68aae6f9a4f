"""The certificate of a mixture: asked for, there and taken, side by side, per source and per axis.

`certificate.json` keeps columns, so that it stays small; `mixlab.data.mixtures.certificate_rows` gives rows. Its parts:

* `seed`, `max_epochs`, `on_empty_cell`, `sequence_tokens`, `windows`, and `budget` in units of `unit`: real `tokens`,
  or `windows` for a budget in samples.
* `sources`, by columns in the order of the packs: `label` (`en/math`, or `en raw`), `raw_group` (its number, -1 for
  none; only where groups are used), `requested_ratio` (exact where short, else to 9 digits; of the whole budget),
  `requested` (units), `population_tokens`, `allocated_tokens`, `target_tokens` (learnt by `loss: all` where documents
  do not see each other), `response_tokens` (learnt by `loss: response`), `windows`, `epochs` (units taken by
  population), `first_document` and `last_document` (smallest and largest ordinal in the token store; -1: none),
  `padding_tokens` (room left in the windows taken) and `cut_tokens` (of the source, in none of its windows: ends of
  truncated documents, and dropped documents).
* `repeated`: positions of sources seen more than 4 times, beyond which repeated data is worth little (Muennighoff et
  al. 2023, arXiv:2305.16264).
* `axes`: `instruction` (shares of the budget), `language`, `category` and `cells` (of the instruction part) and `raw`
  (of the raw part; by group, else by language), each by columns: `part`, `requested_ratio` (over all phases),
  `feasible_ratio` (what on_empty_cell: rake made of it; only where it differs) and the shares achieved:
  `observed_ratio` (units), `target_ratio` and `response_ratio` (loss tokens; null where there are none).
* `deviation`: the most that any source was off its due at the borders of blocks of 4,096 windows, in `windows` of
  sequence_tokens, and that `source`. It is measured there alone: between borders a source may be further off, though
  everywhere by less than 1 window (mixlab.data.mixtures.schedule).
* `phases`, where there are several: `begin` (share of the budget before it), `windows`, and by sources
  `requested_ratio`, `requested` and `allocated` (units).
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mixlab.config.axes import Axes
from mixlab.config.mixtures import MixtureSettings
from mixlab.data.mixtures.merging import Merged
from mixlab.data.mixtures.schedule import Draws
from mixlab.data.mixtures.shares import allocate, marginal
from mixlab.data.mixtures.stretches import Stretch
from mixlab.data.mixtures.taken import Taken, count_taken
from mixlab.data.packs.pack import Pack

MANY_EPOCHS = 4
_SHORT = 12
_KINDS = ("instruction", "raw")
_Ratios = dict[str, Fraction]


def build_certificate(
    settings: MixtureSettings,
    packs: Sequence[Pack],
    draws: Sequence[Draws],
    stretches: Sequence[Stretch],
    merged: Sequence[Merged],
) -> dict[str, Any]:
    """What `certificate.json` holds: `stretches` are the phases as asked for, `merged` as they came out."""
    unit = settings.budget.unit
    windows = [sum(column) for column in zip(*(one.taken for one in merged), strict=True)]
    taken = [count_taken(pack, one, count) for pack, one, count in zip(packs, draws, windows, strict=True)]
    asked = [
        sum((one.share * one.composition.sources[at] for one in stretches), Fraction()) for at in range(len(packs))
    ]
    requested = [_requested(*pair) for pair in zip(stretches, merged, strict=True)]
    sums = [sum(column) for column in zip(*requested, strict=True)]
    worst = max(merged, key=lambda one: one.deviation_units)
    sequence_tokens = packs[0].sequence_tokens
    sources = _source_columns(settings, packs, taken, asked, sums)
    certificate = {
        "seed": settings.seed,
        "unit": unit,
        "budget": sum(sums),
        "max_epochs": str(settings.max_epochs),
        "on_empty_cell": settings.on_empty_cell,
        "sequence_tokens": sequence_tokens,
        "windows": sum(windows),
        "sources": sources,
        "repeated": [at for at, epochs in enumerate(sources["epochs"]) if epochs > MANY_EPOCHS],
        "axes": _axes(settings, stretches, asked, taken),
        "deviation": {
            "windows": float(round(worst.deviation_units / (sequence_tokens if unit == "tokens" else 1), 3)),
            "source": worst.deviation_source,
        },
    }
    if len(merged) > 1:
        certificate["phases"] = _phases(settings, stretches, requested, merged)
    return certificate


def _requested(stretch: Stretch, merged: Merged) -> list[int]:
    """Units asked of each source; with a budget in windows they are a share of what those windows hold."""
    if stretch.windows is None:
        return list(stretch.requested)
    return allocate(sum(merged.units), stretch.composition.sources)


def _source_columns(
    settings: MixtureSettings,
    packs: Sequence[Pack],
    taken: Sequence[Taken],
    asked: Sequence[Fraction],
    sums: Sequence[int],
) -> dict[str, list[Any]]:
    groups = _raw_groups(settings)
    more = {"raw_group": [groups.get(at, -1) for at in range(len(packs))]} if groups else {}
    by_windows = settings.budget.unit == "windows"
    return more | {
        "label": [source.label for source in settings.sources],
        "requested_ratio": [_render(ratio) for ratio in asked],
        "requested": list(sums),
        "population_tokens": [pack.tokens for pack in packs],
        "allocated_tokens": [one.tokens for one in taken],
        "target_tokens": [one.target_tokens for one in taken],
        "response_tokens": [one.response_tokens for one in taken],
        "windows": [one.windows for one in taken],
        "epochs": [
            round_ratio(one.windows if by_windows else one.tokens, pack.windows if by_windows else pack.tokens) or 0.0
            for one, pack in zip(taken, packs, strict=True)
        ],
        "first_document": [one.first_document for one in taken],
        "last_document": [one.last_document for one in taken],
        "padding_tokens": [one.windows * packs[0].sequence_tokens - one.tokens for one in taken],
        "cut_tokens": [pack.cut_tokens for pack in packs],
    }


def _axes(
    settings: MixtureSettings, stretches: Sequence[Stretch], asked: Sequence[Fraction], taken: Sequence[Taken]
) -> dict[str, Any]:
    kinds = [[at for at, source in enumerate(settings.sources) if source.kind == kind] for kind in _KINDS]
    everything = {at: source.kind for at, source in enumerate(settings.sources)}
    shares = {kind: sum((asked[at] for at in members), Fraction()) for kind, members in zip(_KINDS, kinds, strict=True)}
    view = _View(settings.budget.unit, taken)
    axes = {"instruction": view.axis(everything, shares, shares)}
    cells = {at: settings.sources[at].cell for at in kinds[0]}
    requested, feasible = _joint(settings, stretches, possible=False), _joint(settings, stretches, possible=True)
    for axis, side in (("language", 0), ("category", 1)):
        named = {at: cell.split("/")[side] for at, cell in cells.items()}
        axes[axis] = view.axis(named, marginal(requested, side), marginal(feasible, side))
    axes["cells"] = view.axis(cells, requested, feasible)
    groups = _raw_groups(settings)
    parts = {at: name_raw_part(settings.sources[at].language, groups.get(at, -1), bool(groups)) for at in kinds[1]}
    of_raw = {at: asked[at] / shares["raw"] for at in kinds[1] if shares["raw"]}
    raw = _sum_by(parts, of_raw)
    return axes | {"raw": view.axis(parts, raw, raw)}


def _joint(settings: MixtureSettings, stretches: Sequence[Stretch], *, possible: bool) -> _Ratios:
    """Joint shares of the instruction part over all phases, as asked for or as they can be had."""
    joint: _Ratios = {}
    instructed = [at for at, source in enumerate(settings.sources) if source.kind == "instruction"]
    for stretch in stretches:
        one = stretch.composition
        weight = stretch.share * sum((one.sources[at] for at in instructed), Fraction())
        for cell, ratio in (one.cells if possible else one.requested_cells).items():
            joint[cell] = joint.get(cell, Fraction()) + weight * ratio
    total = sum(joint.values(), Fraction())
    return {cell: ratio / total for cell, ratio in joint.items() if ratio}


class _View:
    """Columns of an axis from what was taken."""

    def __init__(self, unit: str, taken: Sequence[Taken]) -> None:
        self._measures = {
            "observed_ratio": [one.windows if unit == "windows" else one.tokens for one in taken],
            "target_ratio": [one.target_tokens for one in taken],
            "response_ratio": [one.response_tokens for one in taken],
        }

    def axis(self, named: Mapping[int, str], requested: _Ratios, feasible: _Ratios) -> dict[str, list[Any]]:
        """Parts by name, of the sources in `named`."""
        parts = sorted({*named.values(), *requested})
        columns: dict[str, list[Any]] = {
            "part": parts,
            "requested_ratio": [_render(requested.get(part, Fraction())) for part in parts],
        }
        if feasible != requested:
            columns["feasible_ratio"] = [_render(feasible.get(part, Fraction())) for part in parts]
        for name, counts in self._measures.items():
            sums = _sum_by(named, {at: counts[at] for at in named})
            columns[name] = [round_ratio(sums.get(part, 0), sum(sums.values())) for part in parts]
        return columns


def _phases(
    settings: MixtureSettings,
    stretches: Sequence[Stretch],
    requested: Sequence[Sequence[int]],
    merged: Sequence[Merged],
) -> list[dict[str, Any]]:
    begins = [begin for begin, _, _ in settings.stretches()]
    return [
        {
            "begin": str(begin),
            "windows": one.windows,
            "requested_ratio": [_render(ratio) for ratio in stretch.composition.sources],
            "requested": list(units),
            "allocated": list(one.units),
        }
        for begin, stretch, units, one in zip(begins, stretches, requested, merged, strict=True)
    ]


def _raw_groups(settings: MixtureSettings) -> dict[int, int]:
    """Number of the group of each raw source that is in one; the first phase that has groups names them."""
    axes: Iterable[Axes] = (settings, *settings.phases)
    for one in axes:
        if isinstance(one.raw, tuple):
            return {at: number for number, group in enumerate(one.raw) for at in group.sources}
    return {}


def name_raw_part(language: str, group: int, grouped: bool) -> str:
    """Name of a raw source's part on the axis `raw`."""
    if not grouped:
        return language
    return f"group {group}" if group >= 0 else "no group"


def _sum_by(named: Mapping[int, str], values: Mapping[int, Any]) -> dict[str, Any]:
    sums: dict[str, Any] = {}
    for at, name in named.items():
        sums[name] = sums.get(name, 0) + values.get(at, 0)
    return sums


def _render(ratio: Fraction) -> str:
    """The exact fraction where it is short, else nine digits."""
    exact = str(ratio)
    return exact if len(exact) <= _SHORT else f"{float(ratio):.9g}"


def round_ratio(part: int, whole: int) -> float | None:
    """A share in six digits; None of nothing."""
    return round(part / whole, 6) if whole else None
