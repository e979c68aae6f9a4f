"""`mixlab sources`: registries checked and listed, studies listed with what they use."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import Result

Invoke = Callable[..., Result]

REGISTRY = """
sources:
  web:
    kind: raw
    language: ja
    licence: CC-BY-4.0
    origin: {type: hub, id: somebody/web, preset: {value: text, assumed: not looked at}}
    published: {table: "9", tokens: {llmjp3: 1.25 B}}
  chats:
    kind: instruction
    language: en
    category: to_be_labelled
    labeller: model
    licence: unknown
    origin: {type: files, root: micro, paths: [chats.jsonl], format: jsonl, preset: messages}
    published:
      table: "17"
      cells: {en/math: {tokens: {llmjp3: 0.5 B}}, en/code: {note: damaged}}
pools:
  both: {sources: [web, chats/math]}
"""


@pytest.fixture
def registry(micro: Path) -> str:
    path = micro / "studies/lab/sources.yaml"
    path.parent.mkdir()
    path.write_text(REGISTRY, encoding="utf-8")
    return "studies/lab/sources.yaml"


def test_a_registry_is_checked_alone_and_counted(registry: str, invoke: Invoke) -> None:
    result = invoke("sources", "check", registry)
    assert result.exit_code == 0
    assert result.stdout == f"{registry}: 2 sources, 1 pool, 1 licence unknown, 1 assumption\n"
    (card,) = json.loads(invoke("sources", "check", registry, "--json").stdout)["files"]
    assert card["licence_unknown"] == ["chats"]
    assert card["assumed"] == [{"key": "sources.web.origin.preset", "line": 7}]


def test_mistakes_of_several_registries_are_told_at_once_with_exit_code_2(
    micro: Path, registry: str, invoke: Invoke
) -> None:
    (micro / registry).write_text(REGISTRY.replace("chats/math", "chat/math").replace("kind: raw", "knd: raw"))
    (micro / "other.yaml").write_text("sources: {a: 1}\n")
    result = invoke("sources", "check", registry, "other.yaml", "absent.yaml")
    assert result.exit_code == 2
    told = result.stderr
    assert "absent.yaml: no such file" in told
    assert "other.yaml:1: sources.a: expected a mapping" in told
    assert "unknown key 'knd'; did you mean 'kind'?" in told
    assert "no source, part or pool is named 'chat/math'; did you mean 'chats/math'?" in told
    assert "Traceback" not in told


def test_a_registry_is_listed_with_locations_published_tokens_and_lock(registry: str, invoke: Invoke) -> None:
    text = invoke("sources", "list", registry).stdout
    assert "hub somebody/web" in text
    assert "1.25 B llmjp3" in text
    assert "> 500 M llmjp3" in text
    assert "micro:chats.jsonl" in text
    assert "pool both: web, chats/math" in text
    assert text.splitlines()[-1] == "1 instruction, 1 raw"
    rows = {row["name"]: row for row in json.loads(invoke("sources", "list", registry, "--json").stdout)["sources"]}
    assert rows["web"]["published_tokens"] == {"llmjp3": 1_250_000_000}
    assert (rows["web"]["published_in_part"], rows["chats"]["published_in_part"]) == (False, True)
    assert (rows["chats"]["tiers"], rows["chats"]["lock"]) == (["unknown"], "absent")


def test_a_study_is_listed_with_what_it_uses_and_how_it_is_locked(micro: Path, registry: str, invoke: Invoke) -> None:
    (micro / "studies/taking.yaml").write_text("extends: [micro.yaml, lab/sources.yaml]\n")
    rows = {row["name"]: row for row in json.loads(invoke("sources", "list", "taking", "--json").stdout)["sources"]}
    assert {name for name, row in rows.items() if not row["used"]} == {"web", "chats"}
    assert rows["raw_ja"]["lock"] == "generated"
    assert rows["raw_file"]["lock"] == "locked"
    assert len(rows["raw_file"]["digest"]) == 64
    study = micro / "studies/taking.yaml"
    study.write_text(study.read_text() + "sources: {raw_file: {origin: {paths: [raw_*.jsonl]}}}\n")
    rows = {row["name"]: row for row in json.loads(invoke("sources", "list", "taking", "--json").stdout)["sources"]}
    assert rows["raw_file"]["lock"] == "other declaration"


def test_a_registry_is_no_study(registry: str, invoke: Invoke) -> None:
    result = invoke("sources", "list", "nowhere")
    assert result.exit_code == 2
    assert "(studies: micro)" in result.stderr
    result = invoke("plan", "lab/sources")
    assert result.exit_code == 2
    assert "this is a registry of sources, not a study" in result.stderr


def test_the_schema_of_a_registry_accepts_assumptions_and_no_unknown_key(invoke: Invoke) -> None:
    schema = json.loads(invoke("schema", "sources").stdout)
    written = yaml.safe_load(REGISTRY)
    jsonschema.validate(written, schema)
    written["sources"]["web"]["odd"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written, schema)


def test_locking_leaves_alone_what_a_registry_declares_and_no_study_uses(
    micro: Path, registry: str, invoke: Invoke
) -> None:
    (micro / "studies/taking.yaml").write_text("extends: [micro.yaml, lab/sources.yaml]\n")
    rows = json.loads(invoke("lock", "--json").stdout)["sources"]
    assert [row["source"] for row in rows] == ["math_file", "raw_file"]
    named = invoke("lock", "chats")
    assert named.exit_code == 2
    assert "no file matches 'chats.jsonl'" in named.stderr
