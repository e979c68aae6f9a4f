"""A working folder in which the micro study is half done: one run at work, one that failed, all else waiting."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dvc_checkouts import plan_micro

from mixlab.artifacts.attempts import attempt_path, attempting
from mixlab.artifacts.store import Store, write_json
from mixlab.plan.graph import Node

BELOW_IPT = ("ipt", "average", "sft", "generate", "score", "judge", "scores", "aggregate", "report")


def make(root: Path, node: Node, seconds: float = 0.0, gpus: int = 0) -> None:
    """Let an artifact look whole, made in so many seconds."""
    path = Store(root).manifest_path(*node.name)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    if seconds:
        record = {"seconds": seconds, "machine": {"gpus": gpus}, "finished": "2026-01-01T00:00:00+00:00"}
        write_json(root / "provenance" / node.stage / node.key / "1.json", record)


def write_metrics(root: Path, node: Node, steps: int) -> None:
    """Write the metrics of a run of 36 steps that took 8 s for each of the first, until now."""
    path = root / "metrics" / node.stage / f"{node.key}.jsonl"
    path.parent.mkdir(parents=True)
    now = time.time()
    rows: list[dict[str, Any]] = [{"event": "start", "first_step": 1, "steps": 36, "time": now - 110}]
    rows += [{"event": "step", "step": step, "time": now - 8 * (steps - step)} for step in range(1, steps + 1)]
    path.write_text("".join(f"{json.dumps({'attempt': 1, **row})}\n" for row in rows))


def change(store: Store, node: Node, **fields: str) -> None:
    path = attempt_path(store, node.name)
    write_json(path, {**json.loads(path.read_text()), **fields})


@contextmanager
def keep_busy(root: Path) -> Iterator[None]:
    """Make all above ipt; one ipt is at work since two minutes, in Slurm's job 4711, the other failed."""
    store, plan = Store(root), plan_micro(root)
    for node in plan.nodes.values():
        if node.stage not in BELOW_IPT:
            make(root, node, seconds=90.0 if node.stage == "pretrain" else 1.0, gpus=8 * (node.stage == "pretrain"))
    working, failing = plan.by_stage("ipt")
    log = root / "logs/ipt" / f"{failing.key}.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"step {number} of 36\n" for number in range(1, 8)) + "mixlab: the loss is not finite\n")
    with suppress(ValueError), store.writing(*failing.name), attempting(store, failing.name):
        raise ValueError("the loss is not finite\nstep 7")
    change(store, failing, log=str(log.relative_to(root)))
    with ExitStack() as stack:
        stack.enter_context(store.writing(*working.name))
        stack.enter_context(attempting(store, working.name))
        begun = datetime.now(UTC) - timedelta(seconds=120)
        about = {"since": begun.isoformat(timespec="seconds"), "job": "4711", "log": str(log.relative_to(root))}
        change(store, working, **about)
        write_metrics(root, working, 12)
        yield
