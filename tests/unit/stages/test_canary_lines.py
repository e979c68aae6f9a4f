"""What a canary compares line by line: answers hold any character, and a line ends with a line feed alone."""

import json
from pathlib import Path

from mixlab.stages.canary import _read_lines, _share_equal

ODD = "one\u2028two\u2029three\u0085four\r\x1c"


def test_answers_are_not_cut_at_what_unicode_takes_for_an_end_of_line(tmp_path: Path) -> None:
    rows = [{"item": "a", "responses": [ODD, "same"]}, {"item": "b", "responses": ["x"]}]
    paths = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    for path, last in zip(paths, ("x", "y"), strict=True):
        rows[1]["responses"] = [last]
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert _read_lines(paths[1]) == rows
    assert _share_equal(*paths, "responses") == 2 / 3
