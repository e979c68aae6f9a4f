"""Documents: YAML 1.2 with addresses, files that extend files, problems in plain words."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixlab.config.loading import load_document, problem_at
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.wording import render_key
from mixlab.config.yaml_nodes import Address, parse_scalar

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str | bytes, name: str = "study.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def load_failure(path: Path) -> list[Problem]:
    with pytest.raises(ConfigError) as raised:
        load_document(path)
    return list(raised.value.problems)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("+12", 12),
        ("0123", 123),
        ("0o17", 15),
        ("0xff", 255),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("1/3", "1/3"),
        ("50 %", "50 %"),
        ("-.inf", -math.inf),
        ("-", "-"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    got = parse_scalar(text)
    assert got == value
    assert isinstance(got, type(value))


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(float(parse_scalar(".nan")))  # type: ignore[arg-type]


def test_a_float_keeps_the_digits_that_were_written(write: Write) -> None:
    document = load_document(write("a: 0.30000000000000000001\n"))
    assert document.data["a"].text == "0.30000000000000000001"


def test_keys_are_text_and_quoted_numbers_are_text(write: Write) -> None:
    assert load_document(write("no: '1'\n1: \"2\"\nnull: |\n  x\n")).data == {"no": "1", "1": "2", "null": "x\n"}


def test_every_value_has_the_line_of_its_key_or_entry(write: Write) -> None:
    path = write("# comment\na:\n  b:\n    - 1\n\n    - c:\n        5\nd: {e: 1,\n  f: 2}\n")
    addresses = load_document(path).addresses
    lines = {render_key(place): address.line for place, address in addresses.items()}
    assert lines == {"": 2, "a": 2, "a.b": 3, "a.b[0]": 4, "a.b[1]": 6, "a.b[1].c": 6, "d": 8, "d.e": 8, "d.f": 9}
    assert {address.file for address in addresses.values()} == {str(path)}


def test_an_alias_repeats_the_anchor_and_a_byte_order_mark_is_no_text(write: Write) -> None:
    document = load_document(write(b"\xef\xbb\xbfa: &x {y: 1}\r\nb: *x\r\n"))
    assert document.data == {"a": {"y": 1}, "b": {"y": 1}}
    assert document.address(("b", "y")).line == 1
    assert document.address(("b",)).line == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("- 1\n", 1, "expected a mapping of keys, got a list of 1"),
        ("just text", 1, "expected a mapping of keys, got 'just text'"),
        ("a: 1\nb: 2\na: 3\n", 3, "written twice (lines 1 and 3)"),
        ("a: 1\nb:\n\tc: 2\n", 3, "tab"),
        ("a: b: c\n", 1, "':'"),
        ("a: 1\nb: 'x\nc: 1\n", 3, "quotes that were never closed (opened on line 2)"),
        ("a:\n  b: 1\n c: 2\n", 3, "indented"),
        ("a: [1,\nb: 2\n", 2, "expected ',' or ']' in a list (opened on line 1)"),
        ("a: *x\n", 1, "anchor"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: @b\n", 1, "put it in quotes"),
        ("a: 1\nb: \x01\n", 2, "U+0001"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8: byte 0xff"),
        ("a: !!python/object:os.system x\n", 1, "tags are not supported"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "extends"),
        ("a: 1e999\n", 1, "'1e999'"),
        ("a: &x [*x]\n", 1, "nested deeper"),
        ("? [a]\n: 1\n", 1, "a key must be plain text"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in
         zip("abcdef", "bcdefg", strict=True)), 1, "more than 200000 values"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_used_is_one_problem_with_its_line(
    write: Write, text: str | bytes, line: int, words: str
) -> None:
    path = write(text)
    (problem,) = load_failure(path)
    assert words in problem.message
    assert (problem.file, problem.line) == (str(path), line)


def test_several_mistakes_of_one_text_are_found_at_once(write: Write) -> None:
    problems = load_failure(write("a: 1\na: 2\nb: !x 1\nc: {d: 1, d: 2}\n"))
    assert [(problem.line, problem.key) for problem in problems] == [(2, "a"), (3, "b"), (4, "c.d")]


def test_a_missing_file_names_its_neighbour(write: Write, tmp_path: Path) -> None:
    write("a: 1\n", "demo.yaml")
    assert [str(problem) for problem in load_failure(tmp_path / "dmeo.yaml")] == [
        f"{tmp_path / 'dmeo.yaml'}: no such file; did you mean 'demo.yaml'?"
    ]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (problem,) = load_failure(tmp_path)
    assert "cannot be read" in problem.message


def test_extending_merges_mappings_replaces_the_rest_and_removes_by_null(write: Write) -> None:
    write("a: {x: 1, y: [1, 2], z: 3}\nb: 1\nc: {d: 1}\n", "bases/基.yaml")
    path = write("extends: bases/基.yaml\na:\n  y: [3]\n  z: null\nc: 7\ne: null\n")
    assert load_document(path).data == {"a": {"x": 1, "y": [3]}, "b": 1, "c": 7, "e": None}


def test_addresses_follow_the_file_that_the_value_came_from(write: Write) -> None:
    bottom = write("a: {x: 1, y: [1, 2]}\n", "bottom.yaml")
    middle = write("extends: bottom.yaml\n\na:\n  z: 3\n", "middle.yaml")
    top = write("extends: middle.yaml\na:\n\n  y: [3]\n", "top.yaml")
    document = load_document(top)
    assert document.files == (top, middle, bottom)
    places = {"x": (bottom, 1), "z": (middle, 4), "y": (top, 4)}
    assert {key: document.address(("a", key)) for key in places} == {
        key: (str(file), line) for key, (file, line) in places.items()
    }
    assert document.address(("a",)) == (str(top), 2)
    assert ("a", "y", 1) not in document.addresses
    assert ("extends",) not in document.addresses


def test_files_that_extend_each_other_are_reported_as_a_cycle(write: Write) -> None:
    path = write("extends: sub/b.yaml\n", "a.yaml")
    write("x: 1\nextends: ../a.yaml\n", "sub/b.yaml")
    (problem,) = load_failure(path)
    assert problem.message.endswith("cycle of files that extend each other: a.yaml -> b.yaml -> a.yaml")
    assert (Path(problem.file).name, problem.line) == ("b.yaml", 2)


def test_an_extended_file_that_is_missing_is_reported_where_it_was_named(write: Write) -> None:
    write("a: 1\n", "base.yaml")
    (problem,) = load_failure(write("a: 1\nextends: bsae.yaml\n"))
    assert problem.line == 2
    assert problem.message.endswith("did you mean 'base.yaml'?")


def test_problems_of_both_files_are_reported_at_once(write: Write) -> None:
    write("b: 1\nb: 2\n", "base.yaml")
    problems = load_failure(write("extends: base.yaml\na: 1\na: 2\n"))
    assert [(Path(problem.file).name, problem.line) for problem in problems] == [("base.yaml", 2), ("study.yaml", 3)]


def test_a_count_of_tokens_is_no_secret(write: Write) -> None:
    document = load_document(write("budget_tokens: 12345678\nmax_new_tokens: 1\n"))
    assert "12345678" in problem_at(document, ("budget_tokens",), "got 12345678").message


@pytest.mark.parametrize("name", ["end_token", "pad_token", "bos-token", "EOS_TOKEN", "chat_end_token"])
def test_a_token_of_a_tokenizer_is_no_secret(write: Write, name: str) -> None:
    path = ("tokenizers", "mine")
    document = load_document(write(f"tokenizers: {{mine: {{type: file, {name}: </s>}}}}\n"))
    assert problem_at(document, path, "'</s>' is not in sources.lock").message == "'</s>' is not in sources.lock"


@pytest.mark.parametrize(
    ("secret", "message", "told"),
    [
        ("e", "not in sources.lock, got e", "not in sources.lock, got (hidden)"),
        ("e", "'e' is no key", "'(hidden)' is no key"),
        ("in", "not in sources.lock", "not in sources.lock"),
        ("abc", "expected a key, got 'abc'", "expected a key, got '(hidden)'"),
        ("abcd", "Bearer abcd_1", "Bearer (hidden)_1"),
        ("e!", "expected a key, got e!", "expected a key, got (hidden)"),
        ("''", "not in 'sources.lock'", "not in 'sources.lock'"),
    ],
)
def test_a_short_secret_is_hidden_as_a_value_and_garbles_no_words(
    write: Write, secret: str, message: str, told: str
) -> None:
    document = load_document(write(f"hub: {{hf_token: {secret}}}\n"))
    for path in (("hub",), ("hub", "hf_token")):
        assert problem_at(document, path, message).message == told


def test_a_problem_of_others_has_an_address_or_that_of_the_nearest_parent(write: Write) -> None:
    path = write("a:\n  b:\n    - 1\n")
    document = load_document(path)
    assert str(problem_at(document, ("a", "b", 0), "odd")) == f"{path}:3: a.b[0]: odd"
    assert str(problem_at(document, ("a", "b", 7, "c"), "absent")) == f"{path}:2: a.b[7].c: absent"
    assert problem_at(document, ("z",), "absent").line == 1


def test_the_work_of_loading_grows_with_the_file_and_not_faster(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    block = "  mixture_{}:\n    budget: {{tokens: 4000}}\n    category: {{code: 0.25, math: 1/4}}\n    x: [1, 2]\n"
    made: list[Address] = []

    def make(file: str, line: int) -> Address:
        made.append(Address(file, line))
        return made[-1]

    monkeypatch.setattr("mixlab.config.yaml_nodes.Address", make)
    counts = []
    for number in (10, 100):
        made.clear()
        document = load_document(write("mixtures:\n" + "".join(block.format(one) for one in range(number))))
        assert len(document.data["mixtures"]) == number
        assert len(made) == len(document.addresses)
        counts.append(len(made))
    assert counts[1] - 2 == 10 * (counts[0] - 2)
