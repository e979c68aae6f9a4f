"""The join of one model's scores and verdicts."""

import math
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from mixlab.analysis.tidy import SCHEMA, ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import ModelIdentity, ModelScoresSettings, ScoredPart
from mixlab.config.problems import DataError
from mixlab.data.writing import write_line

MODEL = ModelIdentity(stage="after_sft", variant_key="v", base_model_key="b", mixture_seed=1, ipt_seed=2, sft_seed=3)
GSM8K = ScoredPart(benchmark="gsm8k", measure="accuracy", language="en", category="math")
JUDGED = ScoredPart(benchmark="mt_bench_ja", measure="judge_score", language="ja", judge_run=1)
KEYS = ModelKeys("model", "mixture")


def settings(*parts):
    return ModelScoresSettings(model=MODEL, parts=parts)


def test_rows_carry_scores_verdicts_seeds_and_keys(tmp_path, write_part):
    scored = write_part("a", [{"item": "q1", "score": 1.0, "parsed": True, "extracted": "7", "note": None}])
    verdicts = [
        {"item": "m1", "turn": 1, "score": 6.0, "parsed": True, "reply": "…", "verdict_id": "x1"},
        {"item": "m1", "turn": 2, "score": None, "parsed": False, "reply": "…", "verdict_id": "x2"},
    ]
    judged = write_part("b", verdicts, "verdicts", judge="rule judge (not a language model)")
    folders = [PartFolder(scored, "score", "generate"), PartFolder(judged, "judge", "answers")]
    write_model_scores(settings(GSM8K, JUDGED), KEYS, folders, tmp_path)
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.schema.equals(SCHEMA)
    first, second, third = table.to_pylist()
    assert first == {
        "benchmark": "gsm8k",
        "measure": "accuracy",
        "language": "en",
        "category": "math",
        "item": "q1",
        "turn": 1,
        "score": 1.0,
        "parsed": True,
        "judge": None,
        "generation_seed": 0,
        "judge_run": None,
        "verdict_id": None,
        "model_key": "model",
        "stage": "after_sft",
        "mixture_seed": 1,
        "ipt_seed": 2,
        "sft_seed": 3,
        "variant_key": "v",
        "base_model_key": "b",
        "mixture_key": "mixture",
        "generate_key": "generate",
        "score_key": "score",
    }
    assert (second["score"], second["judge_run"], second["verdict_id"]) == (6.0, 1, "x1")
    assert second["judge"] == "rule judge (not a language model)"
    assert math.isnan(third["score"])
    assert (third["parsed"], third["turn"], third["category"]) == (False, 2, None)


def test_a_reply_may_hold_whatever_unicode_calls_the_end_of_a_line(tmp_path, write_part):
    folder = write_part("a", [], "verdicts", judge="judge")
    with (folder / "verdicts.jsonl").open("w", encoding="utf-8") as stream:
        for number, reply in enumerate(("a\u2028b", "a\u2029b", "a\u0085b\r\n\f"), start=1):
            write_line(stream, {"item": "m", "turn": number, "score": 6.0, "parsed": True, "reply": reply})
    write_model_scores(settings(JUDGED), KEYS, [PartFolder(folder, "judge", "answers")], tmp_path)
    assert pq.read_table(tmp_path / "scores.parquet").column("turn").to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"item": "b", "score": 1.5, "parsed": True}, "scores.jsonl:2: item 'b': score 1.5 is outside 0 to 1"),
        ({"item": "a", "score": 1.0, "parsed": True}, "item 'a', turn 1 is there twice"),
        ({"item": "b", "score": None, "parsed": False}, "only an unparsed verdict has none"),
        ({"item": "b", "parsed": True}, "scores.jsonl:2: not a score: KeyError('score')"),
        ({"item": "b", "score": math.nan, "parsed": True}, "score nan is outside"),
    ],
)
def test_a_broken_record_is_named_with_its_line(tmp_path, write_part, record, message):
    folder = write_part("a", [{"item": "a", "score": 1.0, "parsed": True}, record])
    with pytest.raises(DataError) as caught:
        write_model_scores(settings(GSM8K), KEYS, [PartFolder(folder, "s", "g")], tmp_path)
    assert message in str(caught.value)
    assert not (tmp_path / "scores.parquet").exists()


def test_all_problems_of_all_parts_are_reported_at_once(tmp_path, write_part):
    verdict = {"item": "m", "turn": 1, "score": 0.5, "parsed": True}
    folders = [write_part("a", []), write_part("b", [verdict], "verdicts")]
    with pytest.raises(DataError) as caught:
        write_model_scores(settings(GSM8K, JUDGED), KEYS, [PartFolder(f, "s", "g") for f in folders], tmp_path)
    assert [problem.message for problem in caught.value.problems] == [
        "no item of 'gsm8k' in it",
        "item 'm': score 0.5 is outside 1 to 10",
    ]


def test_equal_scores_give_equal_bytes(tmp_path, write_part):
    folder = write_part("a", [{"item": "a", "score": 1.0, "parsed": True}])
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        write_model_scores(settings(GSM8K), KEYS, [PartFolder(folder, "s", "g")], tmp_path / run)
    for name in ("scores.parquet", "index.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_tidying_starts_without_pandas():
    program = "import sys, mixlab.analysis.tidy; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
