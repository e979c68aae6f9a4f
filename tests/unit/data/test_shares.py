"""Shares are exact, add up, and name the cell that cannot be had."""

import csv
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlab.config.mixture_config import MixtureConfig
from mixlab.config.mixtures import MixtureSettings
from mixlab.config.problems import DataError
from mixlab.config.sources import CATEGORIES, LANGUAGES, SourceConfig
from mixlab.data.mixtures.shares import allocate, build_composition, marginal, rake

weights_lists = st.lists(st.integers(0, 10**6), min_size=1, max_size=30).filter(any)
HALF = {"en": "1/2", "ja": "1/2"}


@given(weights_lists, st.integers(0, 10**12))
def test_allocation_sums_to_the_budget_and_is_less_than_one_unit_off(weights: list[int], budget: int) -> None:
    ratios = [Fraction(weight, sum(weights)) for weight in weights]
    units = allocate(budget, ratios)
    assert sum(units) == budget
    assert all(abs(unit - budget * ratio) < 1 for unit, ratio in zip(units, ratios, strict=True))
    assert all(unit == 0 for unit, ratio in zip(units, ratios, strict=True) if not ratio)


@given(weights_lists, st.integers(0, 10**6), st.integers(1, 50))
def test_allocation_does_not_depend_on_how_weights_are_scaled(weights: list[int], budget: int, scale: int) -> None:
    total = sum(weights)
    plain = allocate(budget, [Fraction(weight, total) for weight in weights])
    assert plain == allocate(budget, [Fraction(weight * scale, total * scale) for weight in weights])


def test_allocation_refuses_ratios_that_do_not_sum_to_one() -> None:
    with pytest.raises(ValueError, match="ratios sum to 3/4, not 1"):
        allocate(10, [Fraction(1, 2), Fraction(1, 4)])


def _sources(*labels: str, weight: Any = "natural") -> list[dict[str, Any]]:
    """`en` is raw text, `en/math` an instruction source."""
    made = []
    for label in labels:
        language, _, category = label.partition("/")
        kind = {"kind": "instruction", "category": category} if category else {"kind": "raw"}
        made.append(kind | {"language": language, "weight": weight})
    return made


def _settings(*labels: str, **changes: Any) -> MixtureSettings:
    base: dict[str, Any] = {"sources": _sources(*labels), "budget": {"tokens": 1000}}
    return MixtureSettings.model_validate(base | changes)


def test_everything_natural_follows_the_population() -> None:
    composition = build_composition(_settings("en", "en/math", "ja/code"), [500, 300, 200])
    assert composition.sources == (Fraction(1, 2), Fraction(3, 10), Fraction(1, 5))


def test_the_joint_is_the_product_of_explicit_axes() -> None:
    settings = _settings(
        "en/math", "ja/math", "en/code", "ja/code", "en",
        instruction="0.8", language=HALF, category={"math": "1/4", "code": "3/4"},
    )  # fmt: skip
    shares = build_composition(settings, [1, 2, 3, 4, 5]).sources
    tenth = Fraction(1, 10)
    assert shares == (tenth, tenth, 3 * tenth, 3 * tenth, 2 * tenth)


def test_a_natural_axis_follows_the_population_within_each_value_of_the_other() -> None:
    settings = _settings("en/math", "en/code", "ja/math", language=HALF)
    assert build_composition(settings, [10, 30, 999]).sources == (Fraction(1, 8), Fraction(3, 8), Fraction(1, 2))


def test_cells_and_raw_groups_are_taken_as_given_with_weights_inside() -> None:
    sources = _sources("en/math", "en/math", weight="1")
    sources[0]["weight"] = "3"
    settings = _settings(
        sources=[*sources, *_sources("ja/code", "en", "en", "ja")],
        instruction="1/2",
        cells={"en/math": "1/2", "ja/code": "1/2"},
        raw=[{"ratio": "1/4", "sources": [3, 4]}, {"ratio": "3/4", "sources": [5]}],
    )
    shares = build_composition(settings, [1, 1, 1, 10, 30, 7]).sources
    assert shares == tuple(Fraction(n, 32) for n in (6, 2, 8, 1, 3, 12))


def test_a_share_of_zero_needs_no_data() -> None:
    settings = _settings("en/math", "en/code", "en", instruction=1, category={"math": 1, "code": 0})
    assert build_composition(settings, [10, 0, 0]).sources == (1, 0, 0)


def test_a_cell_whose_sources_are_empty_is_named() -> None:
    settings = _settings("en/math", "ja/math", "en/code", "ja/code", language=HALF, category={"math": 1})
    with pytest.raises(DataError, match=r"cell ja/math: has a share of 0\.5 and no data"):
        build_composition(settings, [10, 0, 10, 10])


def test_raking_keeps_the_axes_and_moves_the_empty_cell_elsewhere() -> None:
    settings = _settings(
        "en/math", "ja/math", "en/code", language=HALF, category={"math": "3/4", "code": "1/4"}, on_empty_cell="rake"
    )
    composition = build_composition(settings, [10, 10, 10])
    assert composition.requested_cells["ja/code"] == Fraction(1, 8)
    assert "ja/code" not in composition.cells
    assert sum(composition.cells.values()) == 1
    wanted = {"en/math": 1 / 4, "ja/math": 1 / 2, "en/code": 1 / 4}
    assert {cell: float(share) for cell, share in composition.cells.items()} == pytest.approx(wanted, abs=1e-9)


def test_raking_towards_axes_that_cannot_both_hold_is_an_error() -> None:
    settings = _settings(
        "en/math", "ja/math", "en/code", language=HALF, category={"math": "1/4", "code": "3/4"}, on_empty_cell="rake"
    )
    with pytest.raises(DataError, match=r"no joint has the asked shares without ja/code"):
        build_composition(settings, [10, 10, 10])


@given(st.lists(st.integers(1, 100), min_size=8, max_size=8), st.integers(0, 7))
@settings(max_examples=30)
def test_raking_meets_both_axes_whenever_it_answers(weights: list[int], empty: int) -> None:
    cells = [f"{language}/{category}" for language in LANGUAGES for category in CATEGORIES]
    joint = {cell: Fraction(weight, sum(weights)) for cell, weight in zip(cells, weights, strict=True)}
    try:
        raked = rake(joint, set(cells) - {cells[empty]})
    except DataError:
        column, row = (marginal(joint, side)[cells[empty].split("/")[side]] for side in (1, 0))
        assert column + row > 1  # the two lines through the empty cell leave no room
        return
    assert sum(raked.values()) == 1
    for side in (0, 1):
        wanted, got = marginal(joint, side), marginal(raked, side)
        assert all(abs(float(wanted[name] - got.get(name, 0))) < 1e-9 for name in wanted)


def test_a_joint_that_is_the_only_one_is_found_exactly() -> None:
    joint = {"en/math": Fraction(3, 8), "ja/math": Fraction(3, 8), "en/code": Fraction(1, 8), "ja/code": Fraction(1, 8)}
    joint |= {"en/general": Fraction(0), "ja/general": Fraction(0)}
    assert rake(joint, {"en/math", "ja/math", "en/code"}) == {
        "en/code": Fraction(1, 4), "en/math": Fraction(1, 4), "ja/math": Fraction(1, 2)
    }  # fmt: skip
    even = {f"{language}/{category}": Fraction(1, 4) for language in LANGUAGES for category in ("math", "code")}
    # both languages ask for all that one category each has left: the third cell is nothing
    assert rake(even, {"en/math", "en/code", "ja/math"}) == {"en/code": Fraction(1, 2), "ja/math": Fraction(1, 2)}


def test_a_share_that_cannot_be_raked_is_told_with_what_there_is() -> None:
    settings = _settings(
        "en/math", "ja/math", "en/code", language=HALF, category={"math": "1/4", "code": "3/4"}, on_empty_cell="rake"
    )
    with pytest.raises(DataError, match=r"ja shall have 0\.5, but math with data 0\.25 in all"):
        build_composition(settings, [10, 10, 10])


def test_all_that_has_a_share_and_no_data_is_told_at_once() -> None:
    settings = _settings(
        "en/math", "ja/math", "en/code", "ja/code", "en", "ja", language=HALF, category={"math": "1/2", "code": "1/2"},
        instruction="1/2", raw=[{"ratio": "1/3", "sources": [4]}, {"ratio": "2/3", "sources": [5]}],
    )  # fmt: skip
    with pytest.raises(DataError) as caught:
        build_composition(settings, [0, 1, 1, 0, 1, 0], names=[f"s{at}" for at in range(6)])
    assert [str(problem).split(":")[0] for problem in caught.value.problems] == [
        "cell en/math", "cell ja/code", "raw group of 's5'"
    ]  # fmt: skip


def test_a_weight_on_a_source_without_data_is_told() -> None:
    settings = _settings(sources=_sources("en/math", "en/math", weight="1"))
    with pytest.raises(DataError, match=r"source 'maths' \(en/math\): has a weight of 1 and no data"):
        build_composition(settings, [5, 0], names=["sums", "maths"])


def _raw_shares(populations: Sequence[int], factors: Sequence[str]) -> tuple[Fraction, ...]:
    """Shares of raw sources, from what a user writes on."""
    names = [f"s{at:02d}" for at in range(len(populations))]
    origin = {"type": "files", "format": "text", "paths": ["a"], "fields": {"text": "{text}"}}
    source = SourceConfig.model_validate({"kind": "raw", "language": "en", "licence": "none", "origin": origin})
    config = MixtureConfig.model_validate(
        {
            "sources": names,
            "instruction": 0,
            "raw": {"factors": dict(zip(names, factors, strict=True))},
            "budget": {"tokens": 1000},
        }
    )
    settings = config.to_settings(dict.fromkeys(names, source), seed=0)
    return build_composition(settings, populations).sources


def test_factors_multiply_the_population() -> None:
    assert _raw_shares([100, 50, 200], ["1", "2", "1/2"]) == (Fraction(1, 3),) * 3
    assert _raw_shares([300, 50, 200], ["1", "2", "0"])[:2] == (Fraction(3, 4), Fraction(1, 4))


def test_the_published_sampling_ratios_follow_from_raw_tokens_and_factors(shared_data: Path) -> None:
    """Table 9: each printed ratio lies where the rounding of the printed tokens lets it lie."""
    with (shared_data / "published/kodama-oda/table09.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11
    factors = [row["upsampling_factor"] for row in rows]
    unit = 100  # populations in tenths of a billion, times this
    tokens = [int(Fraction(row["raw_tokens_B"]) * 10 * unit) for row in rows]
    assert sum(_raw_shares(tokens, factors)) == 1
    for at, row in enumerate(rows):
        printed, rounding = Fraction(row["final_sampling_ratio_pct"]) / 100, Fraction(5, 100_000)
        least, most = (
            _raw_shares(
                [count + (sign if other == at else -sign) * unit // 2 for other, count in enumerate(tokens)], factors
            )[at]
            for sign in (-1, 1)
        )
        assert least <= printed + rounding, row
        assert most >= printed - rounding, row
        assert most - least < Fraction(2, 1000)
