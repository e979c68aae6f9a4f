"""A study whose models are asked by vLLM: what its engine decides, and what a machine without vLLM is told."""

from pathlib import Path

import pytest
from editing import STUDY

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.engines import require_engines


def ask_by_vllm(root: Path, changes: str = "") -> None:
    with (root / STUDY).open("a", encoding="utf-8") as stream:
        stream.write("\nengine: {engine: vllm}\n")
    with (root / "config.yaml").open("a", encoding="utf-8") as stream:
        stream.write(changes)


def test_the_engine_is_part_of_a_responses_key_and_where_vllm_lives_is_not(micro: Path) -> None:
    by_hf = set(build_plan(micro).plan.nodes)
    ask_by_vllm(micro)
    by_vllm = build_plan(micro).plan.nodes
    assert {by_vllm[key].stage for key in by_vllm.keys() - by_hf} == {
        "generate",
        "score",
        "judge",
        "scores",
        "aggregate",
        "report",
    }
    ask_by_vllm(micro, "  vllm: {python: elsewhere/python, tensor_parallel: 2, memory_share: 0.5}\n")
    text = (micro / STUDY).read_text()
    (micro / STUDY).write_text(text.replace("\nengine: {engine: vllm}\n", "", 1))
    assert set(build_plan(micro).plan.nodes) == set(by_vllm)


def test_a_machine_without_vllm_is_told_where_it_is_looked_for(micro: Path) -> None:
    ask_by_vllm(micro, "  vllm: {python: elsewhere/python}\n")
    planned = build_plan(micro)
    keys = [node.key for node in planned.plan.by_stage("generate")]
    with pytest.raises(ConfigError, match=r"machine\.vllm\.python: no file elsewhere/python: .*`make vllm`.*/generate"):
        require_engines(planned.plan, planned.config.machine, keys, micro)
    require_engines(planned.plan, planned.config.machine, [], micro)
    (micro / "elsewhere").mkdir()
    (micro / "elsewhere/python").touch()
    require_engines(planned.plan, planned.config.machine, keys, micro)
