"""Pools and parts: names that stand for several sources."""

from pathlib import Path
from typing import Any

import pytest

from mixlab.config.pools import Pool, expand_names, find_pool_problems, reach_pools, split_parts
from mixlab.config.sources import SourceConfig
from mixlab.config.studies import read_study

FILES: dict[str, Any] = {"type": "files", "paths": ["a.jsonl"], "format": "jsonl"}


def declare(kind: str = "instruction", **labels: Any) -> SourceConfig:
    forms: dict[str, Any] = {"raw": {"preset": "text"}, "benchmark": {"fields": {"item": {"q": "{q}"}}}}
    origin = {**FILES, **forms.get(kind, {"preset": "messages"})}
    return SourceConfig.model_validate({"kind": kind, "licence": "MIT", "origin": origin, **labels})


SOURCES = {
    "web": declare("raw", language="en"),
    "chats": declare(language="ja", category="to_be_labelled", labeller="model"),
    "sums": declare(language="en", category="math"),
    "test": declare("benchmark"),
}


def pools(**named: list[str]) -> dict[str, Pool]:
    return {name: Pool(sources=tuple(members)) for name, members in named.items()}


def test_a_source_to_be_labelled_is_four_parts_and_a_benchmark_is_none() -> None:
    parts = split_parts(SOURCES)
    assert list(parts) == ["web", "chats/code", "chats/general", "chats/math", "chats/reasoning", "sums"]
    assert parts["chats/math"].category == "math"
    assert parts["chats/math"].language == "ja"
    assert parts["sums"] is SOURCES["sums"]


def test_a_name_stands_for_its_parts_each_once_whatever_the_way_to_them() -> None:
    named = expand_names(SOURCES, pools(tuning=["sums", "chats/code"], everything=["tuning", "chats", "web", "sums"]))
    chats = ("chats/code", "chats/general", "chats/math", "chats/reasoning")
    assert named["chats"] == chats
    assert named["chats/math"] == ("chats/math",)
    assert named["tuning"] == ("chats/code", "sums")
    assert named["everything"] == (*chats, "sums", "web")
    assert "test" not in named


def test_pools_that_hold_each_other_end() -> None:
    circle = pools(a=["b", "web"], b=["a", "sums"])
    assert expand_names(SOURCES, circle)["a"] == ("sums", "web")
    assert reach_pools("a", circle) == {"a", "b"}
    assert reach_pools("web", circle) == set()


@pytest.mark.parametrize(
    ("named", "path", "words"),
    [
        ({"web": ["sums"]}, ("pools", "web"), "a source is named 'web' too"),
        ({"p": ["sums", "sms"]}, ("pools", "p", "sources", 1), "named 'sms'; did you mean 'sums'?"),
        ({"p": ["chats/maths"]}, ("pools", "p", "sources", 0), "did you mean 'chats/math'?"),
        ({"p": ["test"]}, ("pools", "p", "sources", 0), "'test' is a benchmark"),
        ({"p": ["web", "web"]}, ("pools", "p", "sources", 1), "'web' is named twice"),
        ({"p": ["p"]}, ("pools", "p", "sources", 0), "pool 'p' holds this pool in turn"),
    ],
)
def test_what_a_pool_cannot_mean_is_told_at_its_place(named: Any, path: tuple[str | int, ...], words: str) -> None:
    declared = pools(**named)
    ((place, message),) = find_pool_problems(SOURCES, declared, {*SOURCES, *declared})
    assert place == path
    assert words in message


def test_a_source_with_a_mistake_of_its_own_is_not_told_as_unknown() -> None:
    assert list(find_pool_problems(SOURCES, pools(p=["broken"]), {"broken"})) == []


@pytest.mark.parametrize(
    "named",
    [
        "sources: [web]",
        "raw: {ratios: {web: 1/2, raw_ja: 1/2}}",
        "raw: {weights: {web: 1}}",
        "raw: {factors: {web: 2}}",
        "{raw_groups: {both: [web, raw_ja]}, raw: {ratios: {both: 1}}}",
        "phases: [{from_share: 1/2, raw: {ratios: {web: 1}}}]",
        "",
    ],
)
def test_what_is_assumed_of_a_pool_is_told_wherever_a_mixture_names_it(tmp_path: Path, named: str) -> None:
    (tmp_path / "studies").mkdir()
    micro = Path(__file__).resolve().parents[3] / "studies/micro.yaml"
    (tmp_path / "studies/micro.yaml").write_text(micro.read_text(encoding="utf-8"), encoding="utf-8")
    mixture = named if named.startswith("{") else f"{{{named}}}"
    text = f"pools: {{web: {{sources: {{value: [raw_file], assumed: because}}}}}}\nvariants: {{even: {mixture}}}\n"
    (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
    read = read_study(tmp_path, "other")
    assert not read.problems
    assert [one.address for one in read.assumptions] == (["pools.web.sources"] if named else [])
