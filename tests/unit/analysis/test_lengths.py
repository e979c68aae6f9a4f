"""Lengths of rated answers beside their ratings."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mixlab.analysis.lengths import LENGTHS, read_lengths
from mixlab.analysis.tidy import SCHEMA, ModelKeys, PartFolder, write_model_scores
from mixlab.config.analysis import ModelIdentity, ModelScoresSettings, ScoredPart
from mixlab.config.problems import DataError
from mixlab.generation.responses import Response, write_response_files

MODEL = ModelIdentity(stage="after_sft", variant_key="v", base_model_key="b", mixture_seed=1, ipt_seed=2, sft_seed=3)
SCORED = ScoredPart(benchmark="gsm8k", measure="accuracy", language="en")
JUDGED = ScoredPart(benchmark="mt_bench_ja", measure="judge_score", language="ja", judge_run=1)
KEYS = ModelKeys("model", "mixture")


def write_responses(folder: Path, *said: tuple[str, list[str], list[str]]) -> Path:
    folder.mkdir()
    asked = [Response(item, ["?"] * len(texts), responses=texts, finish_reasons=ends) for item, texts, ends in said]
    write_response_files(asked, folder)
    return folder


def test_a_rated_answer_has_its_characters_without_thoughts_and_whether_it_was_cut_off(tmp_path, write_part):
    responses = write_responses(
        tmp_path / "responses",
        ("m1", ["数は七です", "<think>long and hard</think>\nok"], ["stop", "length"]),
        ("m2", ["", "<think>and on"], ["stop", "length"]),
    )
    verdicts = [
        {"item": item, "turn": turn, "score": 5.0, "parsed": True, "verdict_id": f"{item}{turn}"}
        for item in ("m2", "m1")
        for turn in (2, 1)
    ]
    judged = write_part("judged", verdicts, "verdicts", judge="someone")
    scored = write_part("scored", [{"item": "m1", "score": 1.0, "parsed": True}])
    folders = [PartFolder(scored, "s", "g", responses), PartFolder(judged, "j", "g", responses)]
    write_model_scores(ModelScoresSettings(model=MODEL, parts=(SCORED, JUDGED)), KEYS, folders, tmp_path)
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.schema.names == [*SCHEMA.names, *(field.name for field in LENGTHS)]
    found = [(row["item"], row["turn"], row["response_characters"], row["truncated"]) for row in table.to_pylist()]
    assert found == [
        ("m1", 1, None, None), ("m2", 2, 0, True), ("m2", 1, 0, False), ("m1", 2, 2, True), ("m1", 1, 5, False)
    ]  # fmt: skip


def test_a_verdict_about_no_response_and_a_response_that_does_not_say_how_it_ended_are_refused(tmp_path, write_part):
    responses = write_responses(tmp_path / "responses", ("m1", ["yes"], ["stop"]))
    rated = [{"item": "m1", "turn": turn, "score": 5.0, "parsed": True} for turn in (1, 2)]
    judged = write_part("judged", rated, "verdicts", judge="someone")
    settings = ModelScoresSettings(model=MODEL, parts=(JUDGED,))
    with pytest.raises(DataError, match="item 'm1', turn 2: no such response"):
        write_model_scores(settings, KEYS, [PartFolder(judged, "j", "g", responses)], tmp_path)
    silent = write_responses(tmp_path / "silent", ("m1", ["yes", "no"], ["stop"]))
    with pytest.raises(DataError, match=r"item 'm1' has 2 responses and 1 finish_reasons; generate it again"):
        read_lengths(silent)
