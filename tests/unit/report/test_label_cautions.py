"""A reader is told of labels that could not be read, in the report and beside each mixture that they reach."""

from pathlib import Path
from typing import Any

import pytest
from report_fakes import CERTIFICATE, DATA, write_data, write_index

from mixlab.config.report_data import DataShown
from mixlab.report.certificate_page import list_cautions
from mixlab.report.data import DataFigures, load_data_figures
from mixlab.report.data_sections import list_data_cautions

IPT = DATA.mixtures[0]
INDEX = {"labeller": "tiny", "records": 6000, "asked": 5000, "unparsable": 2000, "on_unparsable": "exclude"}
CAUTION = "Source web: 2,000 of 5,000 dialogues (40 %) got no label that can be read from tiny; they are left out."


def put_labels(tmp_path: Path, **changes: Any) -> tuple[DataShown, DataFigures]:
    """Two parts of the source web that share labels, and what is known of them."""
    web = DATA.sources[0].model_copy(update={"labels": "lab-web"})
    parts = (web, web.model_copy(update={"name": "web/code"}), *DATA.sources[1:])
    shown = DATA.model_copy(update={"sources": parts})
    folders = write_data(tmp_path, {"mix-aa11": CERTIFICATE})
    folders["lab-web"] = write_index(tmp_path / "labels", {**INDEX, **changes})
    return shown, load_data_figures(shown, folders)


def find(cautions: list[str]) -> list[str]:
    return [caution.replace("\u202f", ",").replace("\u2009", ",") for caution in cautions if "label" in caution]


def test_labels_that_could_not_be_read_are_one_caution_of_the_report_and_of_the_certificate(tmp_path: Path) -> None:
    shown, figures = put_labels(tmp_path)
    assert find(list_data_cautions(shown, figures)) == [f"! {CAUTION}"]
    assert find(list_cautions(shown, IPT, figures)) == [CAUTION]
    assert shown.keys()["labels"] == ("lab-web",)


def test_the_caution_says_what_such_dialogues_count_as(tmp_path: Path) -> None:
    shown, figures = put_labels(tmp_path, on_unparsable="general")
    (caution,) = find(list_data_cautions(shown, figures))
    assert caution.endswith("they count as general.")


@pytest.mark.parametrize("unparsable", [0, 500])
def test_a_tenth_is_no_caution(tmp_path: Path, unparsable: int) -> None:
    shown, figures = put_labels(tmp_path, unparsable=unparsable)
    assert find(list_data_cautions(shown, figures)) == []


def test_labels_that_are_not_here_are_no_caution(tmp_path: Path) -> None:
    shown, _ = put_labels(tmp_path)
    figures = load_data_figures(shown, {})
    assert find(list_data_cautions(shown, figures)) == []
