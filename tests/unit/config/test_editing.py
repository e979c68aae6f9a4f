"""Edits of a study that touch no file: how paths are written, and what they change."""

from pathlib import Path
from typing import Any

import pytest

from mixlab.config.editing import edit_document, parse_edit
from mixlab.config.loading import Document, load_document
from mixlab.config.problems import ConfigError
from mixlab.config.studies import STUDY_TYPES

TEXT = """
title: Study
seeds: {sft_seed: [1, 2]}
filters:
  - {type: exact_duplicates}
variants:
  even: {instruction: 1/2}
  "v 1.5": {instruction: 1/3}
  plain:
ipt:
  sequence_tokens: {value: 64, assumed: because}
  training: {order: {value: shuffled, assumed: a guess}}
"""


@pytest.fixture
def document(tmp_path: Path) -> Document:
    path = tmp_path / "study.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return load_document(path, STUDY_TYPES)


def edit(document: Document, *texts: str) -> Document:
    return edit_document(document, [parse_edit(one) for one in texts], STUDY_TYPES)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a.b.c=1", ("a", "b", "c"), 1),
        ("variants.math heavy 数学.instruction=7/8", ("variants", "math heavy 数学", "instruction"), "7/8"),
        ("variants.'v 1.5'.instruction=0.5", ("variants", "v 1.5", "instruction"), 0.5),
        ("variants['v 1.5'].instruction=0.5", ("variants", "v 1.5", "instruction"), 0.5),
        ('variants["a=b"].x=no', ("variants", "a=b", "x"), "no"),
        ("seeds.sft_seed[1]=3", ("seeds", "sft_seed", 1), 3),
        ("a={b: [1, x]}", ("a",), {"b": [1, "x"]}),
        ("a.b=null", ("a", "b"), None),
        ("a=x=y", ("a",), "x=y"),
    ],
)
def test_a_path_and_a_value_are_read(text: str, path: tuple[str | int, ...], value: Any) -> None:
    read = parse_edit(text)
    assert (read.path, read.value) == (path, value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.b", "expected a.b.c=VALUE"),
        ("=1", "expected a.b.c=VALUE"),
        ("a..b=1", "expected a.b.c=VALUE"),
        ("a[x]=1", "expected a.b.c=VALUE"),
        (".a=1", "expected a.b.c=VALUE"),
        ("a.b=", "--edit: a.b: a value is missing"),
        ("a.b=[1", "--edit: a.b: not valid YAML"),
        ("a.api_key=[s3cret", "--edit: a.api_key: not valid YAML"),
        ("a.b=!!python/name:os.system x", "--edit: a.b: tags are not supported"),
    ],
)
def test_what_is_no_edit_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_edit(text)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_value_replaces_what_stands_there_and_null_removes_it(document: Document) -> None:
    edited = edit(document, "variants.even={instruction: 5/8}", "title=New", "seeds.sft_seed[0]=7", "filters=null")
    assert edited.data["variants"]["even"] == {"instruction": "5/8"}
    assert (edited.data["title"], edited.data["seeds"]["sft_seed"], "filters" in edited.data) == ("New", [7, 2], False)
    assert document.data["seeds"]["sft_seed"] == [1, 2]
    assert edited.address(("variants", "even", "instruction")).file == "--edit"
    assert edited.address(("variants", "plain")).file.endswith("study.yaml")


def test_what_is_not_there_yet_can_be_added(document: Document) -> None:
    edited = edit(
        document,
        "seeds.sft_seed[2]=3",
        "variants.more={instruction: 1/4}",
        "variants.plain.instruction=1/5",
        "judge.rule.same_number=0.5",
    )
    assert edited.data["seeds"]["sft_seed"] == [1, 2, 3]
    assert edited.data["variants"]["more"] == {"instruction": "1/4"}
    assert edited.data["variants"]["plain"] == {"instruction": "1/5"}
    assert edited.data["judge"] == {"rule": {"same_number": 0.5}}


def test_an_edited_value_is_assumed_no_longer_but_for_an_edit_of_the_value_alone(document: Document) -> None:
    assert {one.address: one.reason for one in document.assumptions} == {
        "ipt.sequence_tokens": "because",
        "ipt.training.order": "a guess",
    }
    edited = edit(document, "ipt.sequence_tokens=128", "ipt.training.order.value=in_order")
    assert edited.data["ipt"] == {"sequence_tokens": 128, "training": {"order": "in_order"}}
    assert {one.address: (one.value, one.reason) for one in edited.assumptions} == {
        "ipt.training.order": ("in_order", "a guess")
    }
    guessed = edit(document, "ipt.sequence_tokens={value: 32, assumed: smaller}")
    assert guessed.data["ipt"]["sequence_tokens"] == 32
    assert guessed.assumptions[0].reason == "smaller"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("varaints.even.instruction=1", "a study has no key 'varaints'; did you mean 'variants'?"),
        ("variants.evn.instruction=1", "nothing in 'variants' is named 'evn'; did you mean 'even'?"),
        ("seeds.sft_seed[3]=1", "'seeds.sft_seed' is a list with 2 entries, counted from 0; got 3"),
        ("seeds.sft_seed.x=1", "'seeds.sft_seed' is a list with 2 entries"),
        ("title.x=1", "'title' is 'Study', and has nothing named 'x'"),
        ("variants.evn=null", "nothing stands there that could be removed; did you mean 'even'?"),
        ("variants.even={instruction: {value: 1/2, assumed: }}", "expected the reason for this value"),
    ],
)
def test_a_path_that_leads_nowhere_is_told(document: Document, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        edit(document, text)
    assert told in str(caught.value)
    assert str(caught.value).startswith("--edit: ")


def test_all_mistakes_are_told_at_once(document: Document) -> None:
    with pytest.raises(ConfigError) as caught:
        edit(document, "varaints=1", "variants.evn.instruction=1")
    assert len(caught.value.problems) == 2
