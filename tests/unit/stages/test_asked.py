"""What the host of generate asks where a task of lm-eval makes the prompts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lm_eval_lab import CHOICE_ITEMS, CHOICES, SUM_ITEMS, SUMS, declare, write_task

from mixlab.generation.engine import Completion
from mixlab.generation.likelihoods import Weighed
from mixlab.generation.responses import read_responses
from mixlab.plan.specs import GenerateSpec
from mixlab.stages import asked, generate

pytest.importorskip("lm_eval", reason="lm_eval is not installed; the extra `lm-eval` brings it")


class Told:
    """Repeats its prompt, and finds a text the likelier the shorter it is."""

    special_tokens = ()

    def generate(self, requests: Sequence[Any], sampling: Any, *, chat: bool) -> Iterator[Any]:
        assert (sampling.max_new_tokens, sampling.stop, chat) == (12, ("\n",), False)
        yield [(at, Completion(one.text, 1, 1, "stop")) for at, one in enumerate(requests)]

    def encode_pairs(self, pairs: Sequence[tuple[str, str]], sampling: Any) -> list[Weighed]:
        return [Weighed([0] * len(text), len(text)) for _, text in pairs]

    def weigh(self, rows: Sequence[Weighed]) -> Iterator[Any]:
        yield [(at, (-float(row.continuation), False)) for at, row in enumerate(rows)]


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: Sequence[Any], **use: Any) -> Any:
    """Run the host on a task's questions; return its responses."""
    made = declare(tmp_path, **use).with_changes(limit=2)
    spec = GenerateSpec.model_validate(
        {
            "benchmark_version": 1,
            "engine": {"engine": "hf"},
            "prompt": made.prompt,
            "generation_seed": 1,
            "lm_eval": made.requests,
        }
    )
    inputs: Any = SimpleNamespace(
        spec=lambda role: None,
        one=lambda role: tmp_path,
        folders={},
        resume=tmp_path / "work",
        session=SimpleNamespace(once=lambda name, make: {}),
    )
    (tmp_path / "work").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(asked, "read_source", lambda *given: iter(items))
    monkeypatch.setattr(generate, "open_hf", lambda settings, inputs: Told())
    monkeypatch.setattr(generate, "describe_device", lambda inputs: {"device": "cpu"})
    generate.run(spec, inputs, tmp_path / "out")
    return read_responses(tmp_path / "out")


def test_the_engine_continues_the_contexts_of_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "tasks", SUMS)
    found = run(tmp_path, monkeypatch, SUM_ITEMS)
    assert [(one.item, one.responses) for one in found] == [
        ("0", ["Question: 0 + 0?\nAnswer:"]),
        ("1", ["Question: 1 + 1?\nAnswer:"]),
    ]


def test_the_engine_weighs_what_the_task_offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "tasks", CHOICES)
    found = run(tmp_path, monkeypatch, CHOICE_ITEMS, task="colours", json_fields=["right"])
    assert [(one.item, one.responses) for one in found] == [("sky", [" blue"]), ("fox", [" lazy dog"])]
    assert found[0].likelihoods == [(-5.0, False), (-15.0, False)]
