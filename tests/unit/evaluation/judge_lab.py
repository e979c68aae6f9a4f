"""Judging against a scripted server: items ask about `dialogue 0` and on, one turn each."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripted_server import ScriptedServer

from mixlab.config.endpoints import EndpointSettings
from mixlab.config.judge_budget import JudgeBudget, JudgePrice
from mixlab.config.judging import ModelJudgeConfig, ModelJudgeSettings
from mixlab.evaluation.judges.asking import Asker
from mixlab.evaluation.judges.attempts import UNDONE
from mixlab.evaluation.judges.model_judge import write_model_verdicts
from mixlab.evaluation.judges.store import Account, VerdictStore
from mixlab.generation.openai import ChatClient
from mixlab.generation.responses import Response, write_response_files

PRICE = JudgePrice(prompt_per_million=1_000, response_per_million=10_000, date="2026-01-01", source="invented")


def build_settings(language: str = "en", **changes: Any) -> ModelJudgeSettings:
    given = {"engine": "openai", "model": "tiny", "endpoint": "local", "max_tokens": 50, **changes}
    return ModelJudgeConfig.model_validate(given).to_settings(language)


@dataclass
class Lab:
    """One folder with a store, judged in by several runs."""

    root: Path
    server: ScriptedServer
    budget: JudgeBudget = field(default_factory=JudgeBudget)
    price: JudgePrice | None = None
    study: str = "study"
    key: str | None = None
    endpoint: dict[str, Any] = field(default_factory=dict)
    runs: int = 0

    @property
    def store(self) -> Path:
        return self.root / "stores" / "judge.sqlite"

    def client(self) -> ChatClient:
        limits = {"timeout_seconds": 5, "max_retries": 3, "concurrency": 8, "url": self.server.url, **self.endpoint}
        limits |= {"api_key_env": "JUDGE_KEY"} if self.key else {}
        return ChatClient("local", EndpointSettings(**limits), self.key, backoff_seconds=0.02)

    def judge(
        self,
        items: int | list[dict[str, Any]] = 5,
        answers: dict[str, list[str]] | None = None,
        *,
        run: int = 1,
        **changes: Any,
    ) -> list[dict[str, Any]]:
        """Judge and return the verdicts; `answers` by item, or one of its own for each."""
        rows = [{"id": str(n), "turns": [f"dialogue {n}"]} for n in range(items)] if isinstance(items, int) else items
        answers = answers or {row["id"]: [f"answer {row['id']}"] * len(row["turns"]) for row in rows}
        self.runs += 1
        folder = self.root / f"run-{self.runs}"
        folder.mkdir()
        responses = [Response(item, ["q"] * len(texts), responses=texts) for item, texts in answers.items()]
        write_response_files(responses, folder)
        with ExitStack() as stack:
            store = stack.enter_context(VerdictStore(self.store))
            account = Account(self.study, "tiny", self.budget)
            write_model_verdicts(
                build_settings(**changes),
                rows,
                folder,
                run,
                folder,
                store=store,
                open_asker=lambda: stack.enter_context(Asker(self.client(), store, account, self.price)),
                work=self.root / "work",
            )
        return [json.loads(line) for line in (folder / "verdicts.jsonl").read_text("utf-8").splitlines()]

    def index(self) -> dict[str, Any]:
        return json.loads((self.root / f"run-{self.runs}" / "index.json").read_text("utf-8"))

    def undone(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / "work" / UNDONE).read_text("utf-8").splitlines()]

    def spent(self) -> Any:
        with VerdictStore(self.store) as store:
            (spent,) = store.list_spent(self.study)
        return spent


Start = Callable[..., Lab]
"""Opens a lab, given what its server says and the lab's settings."""
