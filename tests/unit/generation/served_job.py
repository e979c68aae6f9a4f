"""A generation job at an endpoint: called by a test, or as a process, `python served_job.py URL WORK OUT ITEMS`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixlab.config.endpoints import EndpointSettings
from mixlab.config.engines import OpenaiEngineSettings
from mixlab.config.generation import PromptSettings, SamplingSettings
from mixlab.generation.openai import ChatClient
from mixlab.generation.run import Asking, write_responses
from mixlab.generation.served import ServedEngine

CHAT = PromptSettings(template="dialogue {number}")


def build_items(count: int) -> list[dict[str, str]]:
    return [{"id": f"item {number}", "number": str(number)} for number in range(count)]


def build_engine(url: str, key: str | None = None, endpoint: Mapping[str, Any] | None = None, **settings: Any) -> Any:
    limits = {"timeout_seconds": 5, "max_retries": 3, "concurrency": 4, **(endpoint or {})}
    client = ChatClient("local", EndpointSettings(url=url, **limits), key, backoff_seconds=0.02)
    return ServedEngine(client, OpenaiEngineSettings(model="tiny", **settings))


def generate(engine: Any, out: Path, items: int, work: Path | None = None, prompt: PromptSettings = CHAT) -> Any:
    """Write responses to `dialogue 0` … into the new folder `out`."""
    out.mkdir()
    return write_responses(engine, prompt, build_items(items), 3, out, Asking(work))


def with_sampling(prompt: PromptSettings = CHAT, **sampling: Any) -> PromptSettings:
    return prompt.model_copy(update={"sampling": SamplingSettings(**sampling)})


if __name__ == "__main__":
    url, work, out, items = sys.argv[1:]
    generate(build_engine(url), Path(out), int(items), Path(work))
