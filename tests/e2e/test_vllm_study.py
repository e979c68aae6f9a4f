"""A study whose models are asked by vLLM, from nothing: one start for all benchmarks of a model.

Skipped where `make vllm` was not run.
"""

import json
import re
from pathlib import Path

import pytest
from checkouts import CONFIG, copy_checkout
from runs import is_finished, run, run_all

from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.store import Store

# one vLLM at a time
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("vllm"), pytest.mark.timeout(1800)]

STUDY = """\
extends: micro.yaml
title: Six benchmarks by vLLM
engine: {engine: vllm}
sources:
  test_math_ja:
    kind: benchmark
    licence: CC0-1.0
    origin: {type: generator, name: invented_world, size: 4, options: {language: ja, category: math, world_seed: 3}}
  test_code_en:
    kind: benchmark
    licence: CC0-1.0
    origin: {type: generator, name: invented_world, size: 4, options: {language: en, category: code, world_seed: 3}}
  test_general_en:
    kind: benchmark
    licence: CC0-1.0
    origin: {type: generator, name: invented_world, size: 4, options: {language: en, category: general, world_seed: 3}}
  test_reasoning_en:
    kind: benchmark
    licence: CC0-1.0
    origin:
      type: generator
      name: invented_world
      size: 4
      options: {language: en, category: reasoning, world_seed: 3}
# vLLM's attention on a CPU has no heads of fewer than 32 numbers
base_models: {tiny: {model: {heads: 1}}}
variants: {math heavy 数学: null}
effects: null
seeds: {sft_seed: [1], judge_run: [1]}
benchmarks:
  demo_math_ja: {data: test_math_ja}
  demo_code_en: {data: test_code_en}
  demo_general_en: {data: test_general_en}
  demo_reasoning_en: {data: test_reasoning_en}
"""
MACHINE = """\
  vllm: {{python: {python}, kv_cache_gib: 0.25, compile: false}}
"""
STARTED = re.compile(r"vllm (\S+) on cpu has opened (\S+) in ")
MADE = re.compile(r": generate \S+ \((.*)\): \d+ bytes")


@pytest.fixture(scope="module")
def finished_by_vllm(vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copy_checkout(tmp_path_factory.mktemp("vllm") / "study")
    (root / "studies/vllm.yaml").write_text(STUDY)
    python = json.dumps(str(vllm_python))
    (root / "config.yaml").write_text(CONFIG.replace("study: micro", "study: vllm") + MACHINE.format(python=python))
    run_all(root)
    return root


def test_vllm_is_started_once_for_the_six_benchmarks_of_a_model(finished_by_vllm: Path) -> None:
    logs = [path.read_text() for path in sorted((finished_by_vllm / "logs/generate").glob("*.log"))]
    made = [MADE.findall(log) for log in logs]
    models = [STARTED.findall(log) for log in logs]
    print(f"{len(logs)} jobs, one for each model:", *(f"{len(one)} benchmarks" for one in made), sep="\n  ")
    assert logs and [len(started) for started in models] == [1] * len(logs)
    assert len({started[0][1] for started in models}) == len(logs)
    assert [len(set(one)) for one in made] == [6] * len(logs)


def test_what_vllm_answered_is_scored_and_its_version_is_in_the_provenance(finished_by_vllm: Path) -> None:
    store = Store(finished_by_vllm)
    keys = sorted(path.parent.name for path in (finished_by_vllm / "artifacts/generate").glob("*/manifest.json"))
    facts = [read_provenance(store, "generate", key)[-1]["facts"] for key in keys]
    assert keys and all(one["engine"].startswith("vllm ") and one["device"] == "cpu" for one in facts)
    assert is_finished(finished_by_vllm)


def test_a_machine_without_vllm_is_told_before_any_job(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "study")
    (root / "studies/vllm.yaml").write_text(STUDY)
    (root / "config.yaml").write_text(CONFIG.replace("study: micro", "study: vllm"))
    code, output = run(root, "-n", "all")
    assert code == 2
    assert "machine.vllm.python: no file .venv-vllm/bin/python: install vLLM with `make vllm`" in output
