"""Values without a source: `{value: …, assumed: reason}` anywhere in a study, unwrapped and remembered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlab.config.assumed import take_assumptions
from mixlab.config.loading import Document, load_document
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.studies import STUDY_TYPES
from mixlab.config.study import Study
from mixlab.config.validation import validate
from mixlab.config.yaml_nodes import Address, Tree

Load = Callable[..., Document]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str, name: str = "study.yaml", load: bool = True) -> Any:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return load_document(path, STUDY_TYPES) if load else path

    return load_text


def load_failure(load: Load, text: str) -> list[Problem]:
    with pytest.raises(ConfigError) as raised:
        load(text)
    return list(raised.value.problems)


def test_a_value_is_unwrapped_and_its_reason_kept_with_its_address(load: Load) -> None:
    document = load("title: t\nipt:\n  sequence_tokens:\n    value: 64\n    assumed: as  short as\n      can be\n")
    assert document.data["ipt"] == {"sequence_tokens": 64}
    (one,) = document.assumptions
    assert (one.address, one.line, one.value, one.reason) == ("ipt.sequence_tokens", 3, "64", "as short as can be")
    assert one.file.endswith("study.yaml")


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("seeds: {sft_seed: [1, {value: 2, assumed: why}]}", ("seeds", "sft_seed", 1), 2),
        ("ipt: {value: {sequence_tokens: 8}, assumed: why}", ("ipt",), {"sequence_tokens": 8}),
        ("variant_defaults: {max_epochs: {value: 1/3, assumed: why}}", ("variant_defaults", "max_epochs"), "1/3"),
        ("variants: {a: {instruction: {value: natural, assumed: why}}}", ("variants", "a", "instruction"), "natural"),
        ("sft: {value: null, assumed: why}", ("sft",), None),
        ("title: {value: x, assumed: why}", ("title",), "x"),
    ],
)
def test_any_value_may_be_assumed(load: Load, text: str, path: tuple[str | int, ...], value: Any) -> None:
    document = load(text)
    got: Any = document.data
    for part in path:
        got = got[part]
    assert got == value
    assert [one.path for one in document.assumptions] == [path]


def test_a_mistake_in_an_assumed_value_has_the_key_and_line_of_the_value(load: Load) -> None:
    text = "sft:\n  training:\n    value:\n      global_batch_windows: 8\n      odd: 1\n    assumed: guess\n"
    _, problems = validate(Study, load(text))
    (problem,) = (one for one in problems if "odd" in one.message)
    assert (problem.line, problem.key) == (5, "sft.training.odd")


def test_keys_of_the_users_own_named_value_and_assumed_are_left_alone(load: Load) -> None:
    item = {"value": "{v}", "assumed": "{a}"}
    document = load('sources: {a: {origin: {fields: {item: {value: "{v}", assumed: "{a}"}}}}}')
    assert document.data["sources"]["a"]["origin"]["fields"]["item"] == item
    weights = load("sft: {mixture: {sources: {value: 1/2, assumed: 1/2}}}")
    assert weights.data["sft"]["mixture"]["sources"] == {"value": "1/2", "assumed": "1/2"}
    entries = load("sources: {value: {kind: raw}, assumed: {kind: raw}}")
    assert set(entries.data["sources"]) == {"value", "assumed"}
    assert document.assumptions == weights.assumptions == entries.assumptions == ()


def test_a_whole_mapping_of_free_keys_may_be_assumed(load: Load) -> None:
    document = load("sft: {mixture: {sources: {value: {a: 1, assumed: 2}, assumed: a guess}}}")
    assert document.data["sft"]["mixture"]["sources"] == {"a": 1, "assumed": 2}
    assert [one.value for one in document.assumptions] == ["{a: 1, assumed: 2}"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ipt: {assumed: because}", "a reason without a value; write {value: …, assumed: 'because'}"),
        ("ipt: {value: 1, assumed: ''}", "expected the reason for this value, in words, got ''"),
        ("ipt: {value: 1, assumed: ' '}", "expected the reason"),
        ("ipt: {value: 1, assumed: }", "expected the reason for this value, in words, got nothing (null)"),
        ("ipt: {value: 1, assumed: 5}", "in words, got 5"),
        ("ipt: {value: 1, assumed: x, source: y}", "'source' stands beside `assumed`; put it below `value`"),
    ],
)
def test_a_wrong_form_is_told_with_its_address(load: Load, text: str, words: str) -> None:
    (problem,) = load_failure(load, f"title: t\n{text}\n")
    assert words in problem.message
    assert (problem.line, problem.key) == (2, "ipt.assumed")


def test_every_wrong_form_is_told_at_once(load: Load) -> None:
    problems = load_failure(load, "ipt: {assumed: a}\nsft:\n  mixture: {value: 1, assumed: ''}\n")
    assert [problem.line for problem in problems] == [1, 3]


def test_an_extending_file_takes_an_assumption_back_by_saying_the_value(load: Load) -> None:
    load("ipt: {sequence_tokens: {value: 64, assumed: guess}}\naverage: {last: {value: 4, assumed: usual}}", "b.yaml")
    document = load("extends: b.yaml\nipt: {sequence_tokens: 32}\nsft: {sequence_tokens: {value: 5, assumed: new}}\n")
    assert document.data["ipt"] == {"sequence_tokens": 32}
    assert [(one.address, Path(one.file).name) for one in document.assumptions] == [
        ("average.last", "b.yaml"),
        ("sft.sequence_tokens", "study.yaml"),
    ]


def test_a_file_without_types_has_no_assumptions(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: {value: 1, assumed: why}")
    assert load_document(path).data == {"a": {"value": 1, "assumed": "why"}}


plain = st.recursive(
    st.integers(0, 9) | st.sampled_from(["natural", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(plain, st.data())
@settings(max_examples=60, deadline=None)
def test_wrapping_any_values_of_a_tree_changes_neither_the_data_nor_the_addresses(
    value: Any, data: st.DataObject
) -> None:
    def wrap(one: Any, path: tuple[str | int, ...], addresses: dict[Any, Address]) -> Any:
        addresses[path] = Address("f", 1)
        if isinstance(one, dict):
            one = {key: wrap(inner, (*path, key), addresses) for key, inner in one.items()}
        elif isinstance(one, list):
            one = [wrap(inner, (*path, at), addresses) for at, inner in enumerate(one)]
        if not path or not data.draw(st.booleans()):
            return one
        below = {old: addresses.pop(old) for old in list(addresses) if old[: len(path)] == path and old != path}
        addresses |= {(*path, "value", *old[len(path) :]): address for old, address in below.items()}
        addresses |= {(*path, "value"): Address("f", 1), (*path, "assumed"): Address("f", 1)}
        return {"value": one, "assumed": "why"}

    expected: dict[Any, Address] = {}

    def walk(one: Any, path: tuple[str | int, ...]) -> None:
        expected[path] = Address("f", 1)
        for key, inner in one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ():
            walk(inner, (*path, key))

    top = {"k": value}
    walk(top, ())
    tree = Tree()
    tree.data = wrap(top, (), tree.addresses)
    take_assumptions(tree, {})
    assert tree.problems == []
    assert tree.data == top
    assert tree.addresses == expected
