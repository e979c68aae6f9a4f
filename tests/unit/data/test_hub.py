"""A hub source, read through the libraries from a hub on this machine, each time in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT

HERE = Path(__file__).parent
TOKEN = "hf_never_to_be_shown"

_PROGRAM = """
import json, sys
from pathlib import Path
from mixlab.config.problems import DataError
from mixlab.config.sources import SourceConfig
from mixlab.data.sources.hub import resolve_revision
from mixlab.data.sources.source import build_source, open_source
answers, out = [], Path(sys.argv[2])
for ask in json.loads(sys.argv[1]):
    try:
        if "resolve" in ask:
            answers.append(resolve_revision(*ask["resolve"]))
            continue
        origin = {"type": "hub", "preset": "question_answer", "id": "acme/qa", **ask["origin"]}
        base = {"kind": "instruction", "language": "en", "category": "math", "licence": "MIT", "origin": origin}
        settings = SourceConfig.model_validate(base).to_settings(revision=ask["revision"])
        build_source(settings, [], out)
        whole = list(open_source(settings, out))
        part = list(open_source(settings, out, first=30, last=33))
        answers.append({"index": json.loads((out / "index.json").read_text()), "whole": len(whole),
                        "part": [record["messages"][1]["content"] for record in part]})
    except DataError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = subprocess.Popen([sys.executable, str(HERE / "hub_server.py")], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    server.kill()
    server.wait()
    server.stdout.close()


def ask(endpoint: str, home: Path, *asked: dict[str, Any], **environment: str) -> list[Any]:
    home.mkdir(exist_ok=True)
    (home / "out").mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    variables = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_TOKEN": TOKEN, **environment}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(asked), str(home / "out")],
        capture_output=True,
        text=True,
        check=True,
        cwd=home,
        env=kept | variables,
    )
    assert TOKEN not in done.stdout + done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def test_a_hub_source_is_read_at_its_commit_and_every_refusal_is_told(endpoint: str, tmp_path: Path) -> None:
    # a folder of the data set's name in the working folder must not be taken for it
    (tmp_path / "acme/qa").mkdir(parents=True)
    (tmp_path / "acme/qa/train.jsonl").write_text('{"question": "of another", "answer": "data set"}\n')
    whole = {"origin": {}, "revision": COMMIT}
    answers = ask(
        endpoint,
        tmp_path,
        {"resolve": ["acme/qa", "main"]},
        {"resolve": ["acme/qa", "v9"]},
        {"resolve": ["acme/none", "main"]},
        {"resolve": ["acme/gated", "main"]},
        whole,
        whole | {"origin": {"limit": 40, "select": {"by": "{topic}", "values": ["1"]}}},
        whole | {"origin": {"split": "test"}},
        whole | {"origin": {"config": "other"}},
        whole | {"origin": {"id": "acme/gated"}},
        {"origin": {}, "revision": "b" * 40},
    )
    commit, unknown, nobody, gated, read, selected, split, config, closed, moved = answers
    assert commit == COMMIT
    assert "hub data set acme/qa at v9: the hub knows no such revision; mend `revision`" in unknown
    assert "the hub does not know it; mend `id`" in nobody
    assert "one must log in (HF_TOKEN) and agree to its terms" in gated
    assert (read["whole"], read["part"]) == (50, ["answer 30", "answer 31", "answer 32"])
    assert read["index"]["hub"]["revision"] == COMMIT
    assert (selected["whole"], selected["index"]["not_selected"]) == (25, 25)
    assert 'Unknown split "test"' in split
    assert "BuilderConfig 'other' not found" in config
    assert "gated" in closed
    assert "the hub knows no such revision" in moved
    assert ask(endpoint, tmp_path, whole, HF_HUB_OFFLINE="1")[0] == read
    stale, far = ask(
        endpoint, tmp_path, {"origin": {}, "revision": "b" * 40}, {"resolve": ["acme/qa", "main"]}, HF_HUB_OFFLINE="1"
    )
    assert "the cache holds another revision than bbbbbbbbbbbb" in stale
    assert "HF_HUB_OFFLINE is set" in far


def test_a_hub_that_does_not_answer_is_told(tmp_path: Path) -> None:
    (answer,) = ask("http://127.0.0.1:9", tmp_path, {"resolve": ["acme/qa", "main"]})
    assert answer.startswith("hub data set acme/qa at main: the hub cannot be reached")
