"""The report's own figures: labels of any length and letters leave the panels their room."""

import xml.etree.ElementTree as ET
from pathlib import Path

from mixlab.analysis.effects import comparison_id
from mixlab.config.analysis import ReportSettings, VariantLabel
from mixlab.report.figures import draw_effects, draw_scores, fit_labels
from mixlab.report.numbers import load_numbers

LONG = "a variant whose name is a whole sentence, of what was mixed, and how, and in which order "


def rename(settings: ReportSettings, *labels: str) -> ReportSettings:
    variants = zip(settings.variants, labels, strict=True)
    named = tuple(VariantLabel(label=label, variant_key=one.variant_key) for one, label in variants)
    return settings.model_copy(update={"variants": named, "effects": ()})


def read_texts(svg: bytes) -> list[str]:
    return ["".join(one.itertext()).strip() for one in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_long_labels_are_cut_and_widen_the_figure(settings: ReportSettings, aggregate: Path) -> None:
    usual = draw_scores(load_numbers(rename(settings, "a", "b"), aggregate))
    # a warning that panels have no room is an error here
    wide = draw_scores(load_numbers(rename(settings, LONG + "1", LONG + "2"), aggregate))
    assert usual is not None and wide is not None
    widths = [float(ET.fromstring(one.svg).get("width", "").removesuffix("pt")) for one in (usual, wide)]
    assert widths[1] > widths[0] + 72
    shown = [text for text in read_texts(wide.svg) if "a variant whose name" in text]
    assert len(set(shown)) == 2 and all(text.endswith("…") for text in shown)
    assert {text.partition(" ")[0] for text in shown} == {"1.", "2."}


def test_a_dollar_sign_in_the_name_of_an_effect_is_printed(settings: ReportSettings, aggregate: Path) -> None:
    first = settings.effects[0].model_copy(update={"name": "costs $_{^$ more"})
    named = settings.model_copy(update={"effects": (first,)})
    numbers = load_numbers(named, aggregate)
    assert numbers.effects[comparison_id(first.to_comparison(named.variant_keys()))]["standard_error"]
    figure = draw_effects(named, numbers)
    assert figure is not None and "costs $_{^$ more" in read_texts(figure.svg)


def test_labels_that_fit_stay_as_they_are() -> None:
    assert fit_labels(["a", "a", "b"], 1.0) == ["a", "a", "b"]
