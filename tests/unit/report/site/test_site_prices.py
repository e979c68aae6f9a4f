"""Predicted and actual cost, in words and in a table."""

from mixlab.plan.actual import StageActual
from mixlab.report.site.prices import build_price_section, render_seconds, render_size

SFT = StageActual(
    "sft",
    predicted_artifacts=4,
    made=5,
    predicted_jobs=4,
    jobs=5,
    predicted_seconds=100.0,
    seconds=260.0,
    seconds_of_predicted=200.0,
    predicted_gpu_hours=1.0,
    gpu_hours=2.5,
    gpu_hours_of_predicted=2.0,
    predicted_bytes=2**20,
    bytes=3 * 2**20,
    bytes_of_predicted=2 * 2**20,
)
SOURCE = StageActual("source", predicted_artifacts=2, made=2, predicted_jobs=2, jobs=2, seconds=1.0, bytes=512)


def test_what_could_not_be_predicted_is_left_out_of_the_ratio_and_told_by_a_dash() -> None:
    section = build_price_section([SOURCE, SFT], unmade=3)
    assert section.sentences == [
        "All jobs together took 4 min 21 s and wrote 3.0 MiB in 7 artifacts.",
        "Of what could be predicted (1 min 40 s), the actual time was 3 min 20 s: 2.00 of it.",
        "GPU-hours held: 2.50; of what could be predicted 2.00, predicted 1.00.",
        "3 predicted artifacts have no record of their making here.",
    ]
    (table,) = section.tables
    assert [shown.text for shown in table.rows[0]] == [
        "source",
        "2",
        "2",
        "2",
        "2",
        "1.0 s",
        "–",
        "–",
        "512 B",
        "–",
        "–",
    ]
    assert [shown.text for shown in table.rows[1]][8:] == ["3.0 MiB", "1.0 MiB", "2.0 MiB"]
    assert [shown.text for shown in table.rows[1]][5:8] == ["4 min 20 s", "1 min 40 s", "3 min 20 s"]


def test_without_any_record_the_section_says_so() -> None:
    section = build_price_section([StageActual("sft", predicted_artifacts=4)], unmade=4)
    assert not section.tables and section.stays
    assert section.sentences == [
        "No provenance of a run is here; 4 artifacts of the plan have no record of their making."
    ]


def test_seconds_and_sizes_are_rendered_for_people() -> None:
    assert [render_seconds(one) for one in (0.44, 59.96, 60, 3599.6, 19_200)] == [
        "0.4 s",
        "60.0 s",
        "1 min 0 s",
        "1 h 0 min",
        "5 h 20 min",
    ]
    assert [render_size(one) for one in (0, 1023, 1024, 5 * 2**40)] == ["0 B", "1023 B", "1.0 KiB", "5.0 TiB"]
