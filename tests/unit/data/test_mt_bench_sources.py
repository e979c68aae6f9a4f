"""The registry's sources of MT-Bench, from the real files: questions with categories, joined with reference answers."""

import json
from pathlib import Path

import pytest

from mixlab.config.benchmarks import load_declaration
from mixlab.config.machine import MachineSettings
from mixlab.config.studies import load_registry
from mixlab.data.sources.reading import read_records
from mixlab.generation.prompts import check_items
from mixlab.plan.sources_lock import locate_files, lock_source

REGISTRY = Path(__file__).resolve().parents[3] / "studies/benchmarks/sources.yaml"
GPT4O = "mt_bench_ja/reference_answer_base-gpt4o-with-human-annotation.jsonl"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "answers", "count"),
    [
        ("mt_bench_en_items", "mt_bench_en/reference_answer_gpt-4.jsonl", 30),
        ("mt_bench_ja_items", GPT4O, 80),
        ("mt_bench_ja_gpt4", "mt_bench_ja/reference_answer_gpt-4.jsonl", 80),
    ],
)
def test_questions_are_joined_with_the_answers_to_both_turns(
    shared_data: Path, tmp_path: Path, name: str, answers: str, count: int
) -> None:
    config = load_registry(REGISTRY)[0].sources[name]
    machine = MachineSettings(data_roots={"shared": str(shared_data)})
    locked = lock_source(name, config, machine, tmp_path)
    settings = config.to_settings(locked.digests(), locked.digests(joined=True))
    files = [(digest, Path(path)) for digest, path in locate_files([locked], machine, tmp_path).items()]
    items = list(read_records(settings, files, lambda exclusion: None))
    check_items(load_declaration(name[: len("mt_bench_xx")]).prompt, items, [])
    lines = (shared_data / "benchmarks" / answers).read_text("utf-8").splitlines()
    written = {str(card["question_id"]): card["choices"][0]["turns"] for card in map(json.loads, lines)}
    found = {str(item["id"]): item["reference"] for item in items if item.get("reference")}
    assert (len(items), len(found)) == (80, count)
    assert found == written
