"""What a source declaration accepts, and what of it reaches the key."""

from typing import Any

import pytest
from pydantic import ValidationError

from mixlab.config.fields import parse_template
from mixlab.config.sources import FilesOrigin, SourceConfig, SourceSettings, find_repeated
from mixlab.config.tokenizers import ExternalTokenizerConfig

A, B = "a" * 64, "b" * 64


def _config(**changes: Any) -> SourceConfig:
    origin = {"type": "files", "paths": ["x.jsonl"], "format": "jsonl", "fields": {"user": "{q}", "assistant": "{a}"}}
    base: dict[str, Any] = {"kind": "instruction", "language": "en", "category": "math", "licence": "MIT"}
    origin |= changes.pop("origin", {})
    return SourceConfig.model_validate({"origin": origin} | base | changes)


def _hub(**changes: Any) -> SourceConfig:
    origin = {"type": "hub", "id": "acme/qa", "preset": "question_answer"} | changes
    base: dict[str, Any] = {"kind": "instruction", "language": "en", "category": "math", "licence": "MIT"}
    return SourceConfig.model_validate(base | {"origin": origin})


def _world(kind: str, size: int = 9, **options: Any) -> dict[str, Any]:
    made = {"type": "generator", "name": "invented_world", "size": size, "options": {"world_seed": 1} | options}
    return {"kind": kind, "licence": "none", "origin": made, "language": "en"}


def test_labels_licence_paths_and_roots_never_reach_the_settings() -> None:
    one = _config().to_settings([B, A])
    other = _config(
        language="ja", category="code", licence="other", origin={"paths": ["y", "z"], "root": "elsewhere"}
    ).to_settings([A, B])
    assert one == other
    assert one.model_dump(mode="json") == other.model_dump(mode="json")


def test_what_decides_the_records_reaches_the_settings() -> None:
    plain = _config().to_settings([A])
    for changes in (
        {"on_bad_record": "exclude"},
        {"origin": {"limit": 3}},
        {"origin": {"fields": {"user": "{q}!", "assistant": "{a}"}}},
    ):
        assert _config(**changes).to_settings([A]) != plain


def test_settings_survive_json() -> None:
    settings = _config().to_settings([A, B])
    assert SourceSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category": None}, "an instruction source needs `category`"),
        ({"language": None}, "needs `language`"),
        ({"kind": "raw"}, "a raw source has no category|takes text, not assistant, user"),
        ({"origin": {"fields": {"user": "{q}"}}}, "needs both `user` and `assistant`"),
        ({"origin": {"fields": {"user": "{q", "assistant": "{a}"}}}, "no placeholder"),
        ({"origin": {"columns": ["q"]}}, "`columns` belongs to format tsv or csv, not jsonl"),
        ({"origin": {"format": "text", "split": "headings"}}, "go together"),
        ({"origin": {"limit": 0}}, "greater than 0"),
        ({"origin": {"preset": "alpaca"}}, "`preset` and `fields` say the same thing"),
        ({"origin": {"preset": "text", "fields": {}}}, "`preset: text` belongs to kind raw, not instruction"),
        ({"origin": {"max_record_mib": 0}}, "greater than 0"),
        ({"origin": {"select": {"by": "{a", "values": ["b"]}}}, "no placeholder"),
        ({"category": "to_be_labelled"}, "needs `labeller: NAME`"),
        ({"labeller": "llm"}, "belongs to `category: to_be_labelled`"),
        (
            {
                "kind": "benchmark",
                "category": "to_be_labelled",
                "labeller": "x",
                "origin": {"fields": {"item": {"p": "{q}"}}},
            },
            "`category: to_be_labelled` belongs to kind instruction",
        ),
        (
            {
                "kind": "raw",
                "category": None,
                "origin": {"format": "text", "fields": {}, "select": {"by": "{a}", "values": ["b"]}},
            },
            "a text has no fields to select by",
        ),
        ({"kind": "benchmark", "origin": {"fields": {"id": "{n}"}}}, "needs `fields: {item"),
        (
            {"origin": {"joined": {"paths": ["y"], "format": "jsonl", "id": "{n}", "item": {"r": "{r}"}}}},
            "`joined` belongs to kind benchmark",
        ),
    ],
)
def test_a_declaration_that_cannot_be_read_is_refused_with_the_cure(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _config(**changes)


_RAW: dict[str, Any] = {"kind": "raw", "category": None}
_ITEMS: dict[str, Any] = {"kind": "benchmark", "category": None, "language": None}
_JOINED: dict[str, Any] = {"paths": ["y"], "format": "jsonl", "id": "n", "item": {"r": "{r}"}}
_JOIN: dict[str, Any] = {"type": "join", "field": "a", "item": "+"}


@pytest.mark.parametrize(
    ("base", "origin", "place"),
    [
        (_RAW, {"fields": {"text": "no place"}}, "text"),
        (_RAW, {"fields": {"text": "{{text}}"}}, "text"),
        (_RAW, {"fields": {"text": ""}}, "text"),
        ({}, {"fields": {"user": "{q}", "assistant": "a"}}, "assistant"),
        ({}, {"fields": {"user": "{q}", "assistant": "{b}", "derive": {"b": _JOIN}}}, "item"),
        ({}, {"select": {"by": "topic", "values": ["x"]}}, "by"),
        (_ITEMS, {"fields": {"id": "n", "item": {"p": "{q}"}}}, "id"),
        (_ITEMS, {"fields": {"item": {"p": "q", "r": "s"}}}, "item"),
        (_ITEMS, {"fields": {"item": {"p": "{q}"}}, "joined": _JOINED}, "id"),
    ],
)
def test_a_template_that_would_make_all_records_the_same_is_refused(
    base: dict[str, Any], origin: dict[str, Any], place: str
) -> None:
    with pytest.raises(ValidationError, match=r"\{field\} place, so that every (record|item) would") as caught:
        _config(origin=origin, **base)
    assert [error["loc"][-1] for error in caught.value.errors()] == [place]


def test_a_prompt_and_single_fields_of_an_item_may_be_fixed() -> None:
    assert _config(origin={"fields": {"system": "Be brief.", "user": "Tell a story.", "assistant": "{a}"}})
    assert _config(origin={"fields": {"item": {"p": "{q}", "part": "one"}}}, **_ITEMS)


def _replaced(pattern: str, by: str = "") -> dict[str, Any]:
    derive = {"plain": {"type": "replace", "field": "a", "pattern": pattern, "by": by}}
    return {"fields": {"derive": derive, "user": "{q}", "assistant": "{plain}"}}


@pytest.mark.parametrize(
    ("origin", "place", "message"),
    [
        ({"format": "text", "split": "headings", "heading": "["}, "heading", r"'\[' is no regular expression: unterm"),
        (_replaced("("), "pattern", r"'\(' is no regular expression: missing \).*put a backslash before"),
        (_replaced("[[a]"), "pattern", r"'\[\[a\]' is no regular expression: Possible nested set"),
        (_replaced("a{99999999999}"), "pattern", "is no regular expression: the repetition number is too large"),
        (_replaced("x", r"\9"), "by", "cannot replace a match of 'x': invalid group reference 9"),
        (_replaced("x", r"\g<name>"), "by", "cannot replace a match of 'x': unknown group name 'name'"),
        (_replaced("x", r"\q"), "by", r"cannot replace a match of 'x': bad escape \\q"),
    ],
)
def test_a_regular_expression_that_cannot_be_used_is_refused_where_it_stands(
    origin: dict[str, Any], place: str, message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        _config(origin=origin)
    assert [error["loc"][-1] for error in caught.value.errors()] == [place]


def test_what_replaces_a_match_may_name_its_groups() -> None:
    assert _config(origin=_replaced(r"(?P<n>\d)(x)?", r"\1\g<n>\2\\"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (_world("raw", language="en", category="math"), "has no category"),
        (_world("instruction", language="en") | {"category": "math"}, "needs `category` for kind instruction"),
        (_world("instruction", language="ja", category="math") | {"category": "math"}, "generator makes 'ja'"),
        (_world("raw", language="en", part="dialogue"), "belongs to kind instruction or benchmark"),
        (_world("benchmark", language="en", category="math", part="strangers"), "set `category: general`"),
    ],
)
def test_a_world_that_contradicts_itself_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceConfig.model_validate(config)


def test_a_file_origin_holds_sorted_distinct_digests() -> None:
    dumped = _config().to_settings([A, B]).model_dump(mode="json")
    dumped["origin"]["digests"] = [B, A]
    with pytest.raises(ValidationError, match="digests must be sorted"):
        SourceSettings.model_validate(dumped)


def test_two_files_of_the_same_bytes_are_no_source() -> None:
    with pytest.raises(ValidationError, match="two of the files hold the same bytes"):
        _config().to_settings([A, B, A])


@pytest.mark.parametrize("path", ["../x.jsonl", "a/../../x.jsonl", "a/../x.jsonl", "/data/x.jsonl", ".."])
def test_a_path_that_leads_out_of_the_data_root_is_refused(path: str) -> None:
    joined = {"paths": [path], "format": "jsonl", "id": "{n}", "item": {"r": "{r}"}}
    benchmark: dict[str, Any] = {"kind": "benchmark", "category": None}
    for origin, more in (
        ({"paths": ["x", path]}, {}),
        ({"joined": joined, "fields": {"item": {"q": "{q}"}}}, benchmark),
    ):
        with pytest.raises(ValidationError, match=r"leads out of the data root; .*machine\.data_roots"):
            _config(origin=origin, **more)
    with pytest.raises(ValidationError, match="leads out of the data root"):
        ExternalTokenizerConfig(type="file", path=path, end_token="</s>")


def test_a_template_splits_into_text_and_places() -> None:
    assert parse_template("a {b.0.c} {{d}} {e?}") == ("a ", (("b", "0", "c"), False), " {d} ", (("e",), True))
    assert parse_template("") == ("",)
    for wrong in ("{", "}", "{}", "{a b}", "{a..b}"):
        with pytest.raises(ValueError, match="no placeholder"):
            parse_template(wrong)


def test_a_preset_is_the_fields_it_stands_for() -> None:
    spelt = _config(origin={"fields": {"user": "{question}", "assistant": "{answer}"}})
    named = _config(origin={"preset": "question_answer", "fields": {}})
    assert spelt.to_settings([A]) == named.to_settings([A])


def test_a_hub_source_is_decided_by_its_commit_and_not_by_the_name_of_the_revision() -> None:
    commit = "c" * 40
    assert _hub(revision="main").to_settings(revision=commit) == _hub(revision="v1").to_settings(revision=commit)
    assert _hub(split="test").to_settings(revision=commit) != _hub().to_settings(revision=commit)
    with pytest.raises(ValidationError, match="revision"):
        _hub().to_settings(revision=None)


@pytest.mark.parametrize("name", ["json", "../qa", "/acme/qa", "acme/qa/x", "hf://acme", "acme/..", "acme/qa@main"])
def test_what_is_no_name_on_the_hub_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="id"):
        _hub(id=name)


def test_only_the_columns_that_are_named_are_read() -> None:
    fields = {
        "derive": {"right": {"type": "choice", "choices": ["c.x", "d"], "index": "gold"}},
        "user": "{q.0} {right}",
        "assistant": "{a?}",
    }
    settings = _config(origin={"fields": fields, "select": {"by": "{topic.name}", "values": ["x"]}}).to_settings([A])
    assert isinstance(settings.origin, FilesOrigin)
    assert settings.origin.fields.columns(settings.origin.select) == {"q", "a", "c", "d", "gold", "topic"}


def _select(*values: str, by: str = "{topic}") -> dict[str, Any]:
    return {"select": {"by": by, "values": list(values)}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_config().to_settings([A]), _config(on_bad_record="exclude", category="code").to_settings([A])),
        (_config().to_settings([A]), _config(origin={"limit": 3}).to_settings([A])),
        (_config(origin={"limit": 2}).to_settings([A]), _config(origin={"limit": 3}).to_settings([A])),
        (_config().to_settings([A]), _config(origin={"max_record_mib": 99}).to_settings([A])),
        (_config().to_settings([A]), _config().to_settings([A, B])),
        (_config().to_settings([A]), _config(origin=_select("x")).to_settings([A])),
        (_config(origin=_select("x", "y")).to_settings([A]), _config(origin=_select("y", "z")).to_settings([A])),
        (_hub().to_settings(revision="c" * 40), _hub(limit=3, revision="v1").to_settings(revision="c" * 40)),
        (
            SourceConfig.model_validate(_world("raw", language="en")).to_settings(),
            SourceConfig.model_validate(_world("raw", size=8, language="en")).to_settings(),
        ),
    ],
)
def test_two_names_for_the_same_records_are_found(one: SourceSettings, other: SourceSettings) -> None:
    assert find_repeated({"one": one, "other": other}) == [("other", "one")]


def test_other_uses_of_a_file_or_data_set_are_no_repetition() -> None:
    sources = {
        "one": _config(origin=_select("x")).to_settings([A]),
        "other values": _config(origin=_select("y", "z")).to_settings([A]),
        "selected otherwise": _config(origin=_select("x", by="{level}")).to_settings([A]),
        "turned": _config(origin={"fields": {"user": "{a}", "assistant": "{q}"}}).to_settings([A]),
        "another file": _config().to_settings([B]),
        "hub": _hub().to_settings(revision="c" * 40),
        "split": _hub(split="test").to_settings(revision="c" * 40),
        "config": _hub(config="main").to_settings(revision="c" * 40),
        "commit": _hub().to_settings(revision="d" * 40),
    }
    assert find_repeated(sources) == []
