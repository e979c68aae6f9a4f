"""A labelling job: called by a test, or as a process of its own, `python label_job.py URL STORE OUT DIALOGUES`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixlab.config.endpoints import EndpointSettings
from mixlab.config.labelling import LabellerConfig, LabelSettings, OpenaiLabelEngine
from mixlab.data.labels.labelling import label_records
from mixlab.data.records import Record
from mixlab.generation.labellers import ask_endpoint
from mixlab.generation.openai import ChatClient


def build_settings(**changes: Any) -> LabelSettings:
    config = {"engine": {"type": "openai", "model": "tiny"}, "endpoint": "local", **changes}
    return LabellerConfig.model_validate(config).to_settings()


def label(url: str, store: Path, out: Path, dialogues: int, settings: LabelSettings, **endpoint: Any) -> None:
    """Label `dialogue 0` … into the folder `out`, asking the endpoint at `url`."""
    assert isinstance(settings.engine, OpenaiLabelEngine)
    limits = {"timeout_seconds": 5, "max_retries": 3, "concurrency": 4, **endpoint}
    client = ChatClient("local", EndpointSettings(url=url, **limits), None, backoff_seconds=0.02)

    def records() -> Iterator[tuple[int, Record]]:
        for number in range(dialogues):
            yield number, {"messages": [{"role": "user", "content": f"dialogue {number}"}]}

    out.mkdir()
    label_records(settings, records, dialogues, ask_endpoint(client, settings.engine), store, out)


if __name__ == "__main__":
    url, store, out, dialogues = sys.argv[1:]
    label(url, Path(store), Path(out), int(dialogues), build_settings())
