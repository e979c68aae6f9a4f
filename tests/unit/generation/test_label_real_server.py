"""A real OpenAI-compatible server: transformers' own, with a tiny model made on the spot; killed and restarted."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_models import NO_ANSWER, PROMPT, TAUGHT

from mixlab.config.categories import CATEGORIES
from mixlab.config.endpoints import EndpointSettings
from mixlab.config.labelling import LabellerConfig, OpenaiLabelEngine
from mixlab.config.problems import DataError
from mixlab.data.labels.labelling import label_records
from mixlab.data.records import Record
from mixlab.generation.labellers import ask_endpoint
from mixlab.generation.openai import ChatClient

pytestmark = pytest.mark.long

DIALOGUES = 200
ASKED = re.compile(r"(\d+) asked")


@pytest.fixture(scope="module")
def url(chat_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start `transformers serve` on the model, offline, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(chat_folder), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = (tmp_path_factory.mktemp("log") / "serve.log").open("wb")
    address = ["--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([*command, *address], stdout=log, stderr=log, env=environment)
    try:
        for _ in range(240):
            assert server.poll() is None, Path(log.name).read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1.0).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def records() -> Iterator[tuple[int, Record]]:
    """Taught dialogues and others, each one of its own, so that each is a question."""
    texts = [*TAUGHT, NO_ANSWER]
    for number in range(DIALOGUES):
        text = texts[number] if number < len(texts) else f"{texts[number % 5]} {number}"
        yield number, {"messages": [{"role": "user", "content": text}]}


def label(url: str, model: str, store: Path, out: Path) -> int:
    """Label by way of the server; return how many questions were asked."""
    config = {"engine": {"type": "openai", "model": model, "max_tokens": 16}, "prompt": PROMPT, "endpoint": "real"}
    settings = LabellerConfig.model_validate({**config, "attempts": 2}).to_settings()
    assert isinstance(settings.engine, OpenaiLabelEngine)
    client = ChatClient("real", EndpointSettings(url=url, concurrency=2), None)
    out.mkdir()
    spent = label_records(settings, records, DIALOGUES, ask_endpoint(client, settings.engine), store, out)
    found = ASKED.match(spent["asked"])
    assert found
    return int(found[1])


def count_replies(store: Path) -> int:
    connection = sqlite3.connect(store)
    (count,) = connection.execute("SELECT count(*) FROM replies").fetchone()
    connection.close()
    return int(count)


def test_killed_and_restarted_it_asks_a_real_server_only_what_is_missing(
    url: str, chat_folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "labels.sqlite"
    job = subprocess.Popen([sys.executable, __file__, url, str(chat_folder), str(store), str(tmp_path / "killed")])
    while not store.exists() or count_replies(store) < DIALOGUES // 2:
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGKILL)
    job.wait()
    before = count_replies(store)
    asked = label(url, str(chat_folder), store, tmp_path / "again")
    print(f"{before} replies stored at the kill, {asked} asked after it, {count_replies(store)} stored in the end")
    assert before + asked == count_replies(store)
    assert label(url, str(chat_folder), store, tmp_path / "rerun") == 0
    for path in sorted((tmp_path / "again").iterdir()):
        assert path.read_bytes() == (tmp_path / "rerun" / path.name).read_bytes()
    labels = np.load(tmp_path / "again" / "labels.npy")
    assert list(labels[:4]) == [CATEGORIES.index(category) for category in TAUGHT.values()]


def test_a_model_that_the_server_does_not_have_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"questions were refused.*requested 'other'"):
        label(url, "other", tmp_path / "labels.sqlite", tmp_path / "out")


if __name__ == "__main__":
    server, name, *paths = sys.argv[1:]
    label(server, name, *map(Path, paths))  # type: ignore[call-arg]
