"""Targets as a study writes them: what is refused, and which items a measure takes."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mixlab.config.targets import CountsTarget, ScoreTarget, TargetConfig, TargetMeasure

MEASURE = {"label": "EN", "measure": "judge_score"}
WHOLE = {
    "of": "Table 3",
    "title": "t",
    "rows": ["variant"],
    "columns": ["base_model", "measure"],
    "measures": [MEASURE],
}
READ: TypeAdapter[Any] = TypeAdapter(TargetConfig)


def test_a_target_without_a_type_is_one_of_scores() -> None:
    assert isinstance(READ.validate_python(WHOLE), ScoreTarget)
    counts = {"type": "counts", "of": "Table 1", "title": "t", "table": "table1"}
    assert isinstance(READ.validate_python(counts), CountsTarget)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"columns": ["variant", "measure"]}, "an axis stands in rows or in columns, and once"),
        ({"columns": ["base_model"], "measures": [MEASURE, {**MEASURE, "label": "JA"}]}, "have the axis `measure`"),
        ({"stages": ["before_sft", "after_sft"]}, "have the axis `stage`"),
        ({"measures": [MEASURE, MEASURE]}, "labels must differ"),
        ({"gain": "of_averages", "stages": ["before_sft"]}, r"write `stages: \[after_sft\]`"),
        ({"error": {"over": []}}, "at least 1"),
        ({"published": {"table": "3"}}, "should match pattern"),
        ({"figures": {}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_shown_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        READ.validate_python({**WHOLE, **change})


def test_items_are_ids_and_stretches_of_numbers() -> None:
    measure = TargetMeasure(label="x", items=("9-11", "81", "task-b"))
    assert measure.item_ids() == {"9", "10", "11", "81", "task-b"}
    assert TargetMeasure(label="x").item_ids() is None
    with pytest.raises(ValidationError, match="no stretch of numbers"):
        TargetMeasure(label="x", items=("20-11",))
