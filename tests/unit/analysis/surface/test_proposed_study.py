"""Proposals as a study file: names of rounds, exact shares, values as their writer wrote them."""

from fractions import Fraction

import pytest

from mixlab.analysis.surface.proposed_study import build_variant, name_round, render_study
from mixlab.analysis.surface.study_points import read_certificate_shares, read_settings_shares
from mixlab.config.axes import MixtureSource
from mixlab.config.mixtures import Budget, MixtureSettings
from mixlab.config.yaml_nodes import parse


@pytest.mark.parametrize(
    ("study", "found"),
    [
        ("demo", ("demo_round1", 1)),
        ("demo_round1", ("demo_round2", 2)),
        ("a_round9", ("a_round10", 10)),
        ("sub/demo", ("sub/demo_round1", 1)),
    ],
)
def test_rounds_are_counted_on(study: str, found: tuple[str, int]) -> None:
    assert name_round(study) == found


def test_shares_of_the_whole_become_an_instruction_ratio_and_exact_cells() -> None:
    components = ("raw", "en/math", "ja/code", "ja/math")
    variant = build_variant(components, [Fraction(1, 4), Fraction(1, 2), Fraction(1, 4), Fraction(0)], {})
    assert variant["instruction"] == "3/4"
    assert variant["description"] == "proposed: raw 1/4, en/math 1/2, ja/code 1/4 of the whole"
    assert variant["cells"] == {"ratios": {"en/math": "2/3", "ja/code": "1/3"}}
    assert (variant["language"], variant["category"]) == ("natural", "natural")
    assert "cells" not in build_variant(components, [Fraction(1), Fraction(0), Fraction(0), Fraction(0)], {})


def test_the_file_reads_back_as_what_was_meant() -> None:
    written = parse("budget: {tokens: 2.80e5}\nsources: [a, 'b: c']\nmax_epochs: 100\nname: 数学", "")
    assert not written.problems
    variants = {"round 1 no. 1": {"instruction": "3/4", **written.data}}
    text = render_study("demo", 'A "title": 数学', ["why"], variants)
    read = parse(text, "")
    assert not read.problems
    assert read.data == {"extends": "demo.yaml", "title": 'A "title": 数学', "variants": variants}
    assert "2.80e5" in text
    # what a file extends is looked for beside it
    assert parse(render_study("sub/demo", "t", [], variants), "").data["extends"] == "demo.yaml"
    assert text.startswith("# why\n")


def test_settings_and_certificates_say_the_same_shares() -> None:
    settings = MixtureSettings(
        sources=(
            MixtureSource(kind="raw", language="en"),
            MixtureSource(kind="instruction", language="en", category="math"),
            MixtureSource(kind="instruction", language="ja", category="math"),
        ),
        instruction="3/4",
        language={"en": "1/3", "ja": "2/3"},
        category={"math": 1},
        budget=Budget(tokens=1000),
    )
    planned = read_settings_shares(settings)
    certificate = {
        "budget": 1000,
        "unit": "tokens",
        "axes": {
            "instruction": {"part": ["instruction", "raw"], "requested_ratio": ["3/4", "1/4"]},
            "cells": {"part": ["en/math", "ja/math"], "requested_ratio": ["1/3", "2/3"]},
            "raw": {"part": ["en"], "requested_ratio": ["1"]},
        },
    }
    made = read_certificate_shares(certificate)
    assert planned is not None
    assert planned.cells == pytest.approx(made.cells)
    assert made.cells == pytest.approx({"en/math": 0.25, "ja/math": 0.5})
    assert sum(planned.raw.values()) == sum(made.raw.values()) == 0.25
    assert (planned.budget, planned.unit) == (made.budget, made.unit)
    assert read_settings_shares(settings.model_copy(update={"language": "natural"})) is None
    assert read_settings_shares(settings.model_copy(update={"instruction": "natural"})) is None
