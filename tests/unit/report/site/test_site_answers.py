"""Answers as a page loads them: an index of all, their texts in files, and what is missing in words."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_site_files import NASTY, read_data

from mixlab.config.problems import DataError
from mixlab.report.site import answers as module
from mixlab.report.site.answers import Answerer, AnswerSet, Asked, Compared, Judged, Place, rate, write_answers

MODEL = Answerer("m1", "v1", "even", "tiny", "half", "after_sft", {"sft_seed": 1})
OTHER = Answerer("m2", "v2", "odd", "tiny", "", "before_sft", {})


def write_lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path.parent


def respond(item: str, *said: str, asked: str = "why?", sample: int | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {"item": item, "turn_prompts": [asked] * len(said), "responses": list(said)}
    row |= {
        "prompt_tokens": [3] * len(said),
        "response_tokens": [4] * len(said),
        "finish_reasons": ["stop"] * len(said),
    }
    return row if sample is None else {**row, "sample": sample}


def score(item: str, value: float, parsed: bool = True, **more: Any) -> dict[str, Any]:
    return {"item": item, "score": value, "parsed": parsed, "extracted": "4" if parsed else None, "note": None, **more}


def verdict(item: str, turn: int, value: float | None) -> dict[str, Any]:
    said = {"item": item, "turn": turn, "score": value, "parsed": value is not None, "reply": f"so: {value}"}
    return {**said, "verdict_id": f"{item}-{turn}", "prompt_digest": "00"}


@pytest.fixture
def scored(tmp_path: Path) -> AnswerSet:
    folder = write_lines(tmp_path / "a/responses.jsonl", respond("q1", NASTY), respond("q2", "four"))
    scores = write_lines(tmp_path / "s/scores.jsonl", score("q1", 0.0, parsed=False), score("q2", 1.0))
    return AnswerSet(Place("aa", folder), 0, "gsm8k", 7, score=Place("ss", scores))


def read_index(out: Path) -> dict[str, Any]:
    name, index = read_data(out / "data/index.js")
    assert name == "index" and isinstance(index, dict)
    return index


def test_the_index_tells_of_each_answer_what_it_is_found_by(scored: AnswerSet, tmp_path: Path) -> None:
    asked = Asked("gsm8k", "accuracy", "en", "math", {"q2": {"id": "q2", "answer": 4}})
    assert write_answers([MODEL], [asked], [scored], tmp_path) == 2
    index = read_index(tmp_path)
    (one,) = index["sets"]
    assert (one["question"], one["score"], one["parsed"], one["seed"]) == ([0, 1], [0.0, 1.0], "01", 7)
    assert "sample" not in one
    assert (one["key"], one["score_key"], one["starts"], one["missing"]) == ("aa", "ss", [0], [])
    (benchmark,) = index["benchmarks"]
    assert (benchmark["items"], benchmark["categories"]) == (["q1", "q2"], ["math", "math"])
    _, questions = read_data(tmp_path / "data/questions/0-0.js")
    assert questions == [{"item": "q1", "turns": ["why?"]}, {"item": "q2", "turns": ["why?"], "reference": ["4"]}]
    _, rows = read_data(tmp_path / "data/answers/aa-0.js")
    assert [row["responses"] for row in rows] == [[NASTY], ["four"]]
    assert rows[1]["score"] == {"score": 1.0, "parsed": True, "extracted": "4", "key": "ss"}


def test_models_that_were_asked_alike_share_a_question_and_others_have_their_own(tmp_path: Path) -> None:
    folders = [
        write_lines(tmp_path / "a/responses.jsonl", respond("q1", "x")),
        write_lines(tmp_path / "b/responses.jsonl", respond("q1", "y")),
        write_lines(tmp_path / "c/responses.jsonl", respond("q1", "z", asked="Why? Think.")),
    ]
    sets = [AnswerSet(Place(f"k{at}", folder), at % 2, "gsm8k", at) for at, folder in enumerate(folders)]
    write_answers([MODEL, OTHER], [Asked("gsm8k", "accuracy", "en", "")], sets, tmp_path)
    index = read_index(tmp_path)
    assert [one["question"] for one in index["sets"]] == [[0], [0], [1]]
    assert index["benchmarks"][0]["items"] == ["q1", "q1"]
    assert [one["parsed"] for one in index["sets"]] == ["-", "-", "-"]


def test_verdicts_and_comparisons_stand_with_the_answer_they_are_about(tmp_path: Path) -> None:
    folder = write_lines(tmp_path / "a/responses.jsonl", respond("q1", "x", "y"), respond("q2", "x", "y"))
    first = write_lines(
        tmp_path / "j1/verdicts.jsonl", *(verdict("q1", turn, value) for turn, value in ((1, 8.0), (2, 4.0)))
    )
    second = write_lines(tmp_path / "j2/verdicts.jsonl", verdict("q1", 2, None), verdict("q1", 1, 6.0))
    pairs = write_lines(tmp_path / "p/comparisons.jsonl", {"item": "q2", "turn": 1, "outcome": "b", "replies": ["B"]})
    one = AnswerSet(
        Place("aa", folder),
        0,
        "mt",
        0,
        judged=(Judged(Place("j1", first), 1), Judged(Place("j2", second), 2)),
        compared=(Compared(Place("pp", pairs), "zz", 1, is_second=True),),
    )
    asked = Asked("mt", "judge_score", "en", "", {"q1": {"category": "writing", "reference": ["r", "s"]}})
    write_answers([MODEL], [asked], [one], tmp_path)
    (card,) = read_index(tmp_path)["sets"]
    # the mean of 8, 4 and 6, of four verdicts one without a rating; nothing was said of the other answer
    assert (card["score"], card["parsed"], card["judge_keys"]) == ([6.0, None], "0-", ["j1", "j2"])
    assert read_index(tmp_path)["benchmarks"][0]["categories"] == ["writing", ""]
    _, rows = read_data(tmp_path / "data/answers/aa-0.js")
    assert [(said["turn"], said["run"], said["score"]) for said in rows[0]["verdicts"]] == [
        (1, 1, 8.0),
        (1, 2, 6.0),
        (2, 1, 4.0),
        (2, 2, None),
    ]
    assert rows[1]["pairs"] == [
        {"turn": 1, "outcome": "b", "replies": ["B"], "key": "pp", "other": "zz", "run": 1, "second": True}
    ]


def test_samples_have_their_own_scores(tmp_path: Path) -> None:
    folder = write_lines(tmp_path / "a/responses.jsonl", respond("q1", "x", sample=0), respond("q1", "y", sample=1))
    scores = write_lines(tmp_path / "s/scores.jsonl", score("q1", 0.0, sample=0), score("q1", 1.0, sample=1))
    one = AnswerSet(Place("aa", folder), 0, "gsm8k", 0, score=Place("ss", scores))
    write_answers([MODEL], [Asked("gsm8k", "accuracy", "en", "")], [one], tmp_path)
    (card,) = read_index(tmp_path)["sets"]
    assert (card["sample"], card["score"], card["question"]) == ([0, 1], [0.0, 1.0], [0, 0])


def test_what_is_not_here_is_said_and_the_rest_is_shown(scored: AnswerSet, tmp_path: Path) -> None:
    gone = AnswerSet(Place("bb", None, "generate bb is discarded: old"), 1, "gsm8k", 0)
    bare = AnswerSet(scored.place, 0, "gsm8k", 7, score=Place("ss", None, "score ss is tracked, not pulled"))
    assert write_answers([MODEL, OTHER], [Asked("gsm8k", "accuracy", "en", "")], [gone, bare], tmp_path) == 2
    missing, shown = read_index(tmp_path)["sets"]
    assert (missing["missing"], "question" in missing) == (["generate bb is discarded: old"], False)
    assert (shown["missing"], shown["score"], shown["parsed"]) == (
        ["score ss is tracked, not pulled"],
        [None, None],
        "--",
    )


def test_texts_are_in_files_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    folder = write_lines(tmp_path / "a/responses.jsonl", *(respond(f"q{at}", "x" * 300) for at in range(10)))
    write_answers(
        [MODEL], [Asked("gsm8k", "accuracy", "en", "")], [AnswerSet(Place("aa", folder), 0, "gsm8k", 0)], tmp_path
    )
    (card,) = read_index(tmp_path)["sets"]
    files = sorted((tmp_path / "data/answers").iterdir())
    assert len(files) == len(card["starts"]) > 3
    assert max(path.stat().st_size for path in files) < 1100


def test_equal_artifacts_give_equal_bytes(scored: AnswerSet, tmp_path: Path) -> None:
    asked = [Asked("gsm8k", "accuracy", "en", "math")]
    for name in ("one", "two"):
        write_answers([MODEL], asked, [scored], tmp_path / name)
    files = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.js")}
        for name in ("one", "two")
    }
    assert files["one"] == files["two"] and len(files["one"]) == 3


def test_a_broken_line_is_named(scored: AnswerSet, tmp_path: Path) -> None:
    assert scored.score is not None and scored.score.folder is not None
    path = scored.score.folder / "scores.jsonl"
    path.write_text('{"item": "q1", "score": 1.0, "parsed": true}\n{"item": "q2"}\n')
    with pytest.raises(DataError, match=r"scores.jsonl:2: has no score, parsed"):
        write_answers([MODEL], [Asked("gsm8k", "accuracy", "en", "")], [scored], tmp_path)


def test_an_answer_without_scores_is_neither_read_nor_unread() -> None:
    assert rate({}) == (None, "-")


def test_a_mean_of_some_judgings_is_no_score() -> None:
    said = [{"turn": turn, "run": run, "score": 9.0 if run == 1 else 3.0} for run in (1, 2, 3) for turn in (1, 2)]
    row = {"responses": ["x", "y"], "verdicts": said}
    assert rate(row, 3) == (5.0, "1")
    assert rate({**row, "verdicts": said[:4]}, 3) == rate({**row, "verdicts": said[:5]}, 3) == (None, "p")
    assert rate({"responses": ["x", "y"], "verdicts": said[:1]}, 1) == (None, "p")
