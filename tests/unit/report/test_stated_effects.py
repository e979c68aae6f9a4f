"""Stated effects: the rule's verdict as what it is, and beside it the primary test, against which nothing is marked."""

from dataclasses import replace

import pytest

from mixlab.analysis.effects import comparison_id
from mixlab.config.analysis import ReportSettings
from mixlab.report import tables
from mixlab.report.claims import build_effects_table, summarise_effects
from mixlab.report.numbers import Numbers, load_numbers
from mixlab.report.primary import find_primary
from mixlab.report.site.findings import list_findings

MODELS, RECIPE = "these models", "this recipe"
PLACE = 6
"""Where the verdict stands in a row; the tests follow."""


@pytest.fixture
def numbers(settings: ReportSettings, aggregate) -> Numbers:
    return load_numbers(settings, aggregate)


def make_test(effect: str, level: str, p: float | None, role: str = "primary") -> dict[str, str]:
    return {"effect": effect, "level": level, "role": role, "p_holm": "" if p is None else repr(p), "note": "why"}


def judge(settings: ReportSettings, numbers: Numbers, verdict: str, models: float | None, recipe: float | None):
    """Give the first effect a verdict, and p-values at both levels; the others have no test."""
    name = comparison_id(settings.effects[0].to_comparison(settings.variant_keys()))
    rows = [make_test(name, MODELS, models), make_test(name, MODELS, 1e-9, "beside"), make_test(name, RECIPE, recipe)]
    effects = {**numbers.effects, name: {**numbers.effects[name], "verdict": verdict}}
    return replace(numbers, effects=effects, statistics={"tests": rows})


@pytest.mark.parametrize(
    ("verdict", "models", "recipe", "shown", "tones"),
    [
        ("met", 0.0004, 0.01, ["met", "< 0.001", "0.010", "both levels"], ("good", "good")),
        ("met", 0.0004, 0.0771, ["met", "< 0.001", "0.077", MODELS], ("good", "good")),
        ("met", None, 0.0496, ["met", "not estimable", "0.0496", RECIPE], ("good", "good")),
        ("met", None, 0.0771, ["met", "not estimable", "0.077", "no"], ("", "muted")),
        ("met", 0.05, None, ["met", "0.0500", "not estimable", "no"], ("", "muted")),
        ("met", None, None, ["met", "not estimable", "not estimable", "not estimable"], ("", "muted")),
        ("not met", 0.0004, 0.01, ["not met", "< 0.001", "0.010", "both levels"], ("bad", "muted")),
    ],
)
def test_nothing_is_marked_as_met_that_the_primary_test_does_not_tell_from_0(
    settings: ReportSettings,
    numbers: Numbers,
    verdict: str,
    models: float | None,
    recipe: float | None,
    shown: list[str],
    tones: tuple[str, str],
) -> None:
    judged = judge(settings, numbers, verdict, models, recipe)
    table = build_effects_table(settings, judged)
    row = table.rows[0]
    assert [one.text for one in row[PLACE : PLACE + 4]] == shown
    assert (row[PLACE].tone, row[PLACE + 3].tone) == tones
    assert list(table.records[0][-3:]) == [models, recipe, shown[-1]]
    assert [column.label for column in table.columns[PLACE : PLACE + 4]] == [
        *("Rule of 3 SE", "p Holm, these models", "p Holm, this recipe", "Told from 0")
    ]


def test_a_finding_says_both_and_claims_nothing_against_the_test(settings: ReportSettings, numbers: Numbers) -> None:
    said = [str(one) for one in list_findings(settings, judge(settings, numbers, "met", None, 0.0771))]
    assert (
        "Of 4 effects stated before they were measured, by the rule of 3 standard errors stated with them: " in said[0]
    )
    assert said[1] == (
        "The primary test (Holm over all that it could test) tells from 0: nothing about these models, not estimable; "
        "0 of 1 about this recipe."
    )
    assert said[2].endswith(
        ": met by the rule of 3 standard errors; primary test: not estimable about these models, p Holm 0.077 about "
        "this recipe; told from 0: no."
    )


def test_a_test_that_sees_the_difference_the_other_way_round_tells_nothing_of_it(
    settings: ReportSettings, numbers: Numbers
) -> None:
    judged = judge(settings, numbers, "met", 0.0004, None)
    name = comparison_id(settings.effects[0].to_comparison(settings.variant_keys()))
    printed = float(judged.effects[name]["difference"])
    rows = [{**row, "difference": repr(-printed / 2)} for row in judged.statistics["tests"]]
    judged = replace(judged, statistics={"tests": rows})
    primary = find_primary(judged, name)
    assert (primary.told, primary.standing) == ([], "no; the other way round over common seeds")
    assert build_effects_table(settings, judged).rows[0][PLACE].tone == ""
    assert "0 of 1 about these models" in str(summarise_effects(settings, judged)[1])


def test_effects_are_counted_by_verdict_and_by_level(settings: ReportSettings, numbers: Numbers) -> None:
    counted, tested = summarise_effects(settings, judge(settings, numbers, "met", 0.01, 0.2))
    verdicts = [one["verdict"] for one in judge(settings, numbers, "met", 0.01, 0.2).effects.values()]
    parts = {part.text: part.of for part in counted.parts if part.of}
    assert set(parts) == {f"{verdicts.count(one)} {one}" for one in set(verdicts)}
    assert "1 of 1 about these models; 0 of 1 about this recipe" in str(tested)


def test_without_tests_nothing_is_told(settings: ReportSettings, numbers: Numbers) -> None:
    silent = replace(numbers, statistics={})
    assert find_primary(silent, "whatever").standing == "–"
    assert len(summarise_effects(settings, silent)) == 1
    assert [one.text for one in build_effects_table(settings, silent).rows[0][PLACE + 1 : PLACE + 4]] == ["–", "–", "–"]
    assert "primary test: not known" in str(list_findings(settings, silent)[1])


def test_a_number_of_the_whole_study_leads_to_its_cells_or_to_the_table_of_them_where_they_are_many(
    settings: ReportSettings, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def list_unread() -> list[tuple[int, str]]:
        (said,) = (one for one in list_findings(settings, numbers) if "answers held nothing" in str(one))
        return [(len(part.of), part.anchor) for part in said.parts if part.text[0].isdigit()]

    count = sum(cell.measure == "accuracy" for cell in numbers.cells)
    monkeypatch.setattr(tables, "MOST_BEHIND", count)
    assert list_unread() == [(count, ""), (count, "")]
    monkeypatch.setattr(tables, "MOST_BEHIND", count - 1)
    assert list_unread() == [(0, "every-cell"), (0, "every-cell")]
