"""Trains as one of several ranks, and starts such processes, for the tests beside it."""

import json
import logging
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

from training_fakes import FakeWindows, child_environment, settings, small_model

from mixlab.config.held_out import ValidationSettings
from mixlab.config.launching import LaunchSettings
from mixlab.training.engines.engine import Place
from mixlab.training.launching.processes import Children, build_environments, find_port
from mixlab.training.process import leave
from mixlab.training.run import train
from mixlab.training.watching.validation import HeldOut

STOPPED = 3


class Stop:
    """A watcher that ends every rank after a step, before its state is saved, and notes what it was told."""

    def __init__(self, folder, rank, after):
        self.folder, self.rank, self.after, self.reports = folder, rank, after, []

    def __call__(self, report):
        self.reports.append(asdict(report))
        path = self.folder / f"reports-{self.rank}-{self.reports[0]['step']:03d}.json"
        path.write_text(json.dumps(self.reports))
        if report.step == self.after:
            raise SystemExit(STOPPED)


def main(folder, asked):
    place = Place(
        *(int(os.environ.get(name, one)) for name, one in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    )
    logging.basicConfig(level=logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)
    launch = {"device": "cpu", "processes_per_node": place.ranks} | asked.pop("launch", {})
    folder.mkdir(exist_ok=True)
    if sources := asked.pop("held_out", None):
        asked["held_out"] = HeldOut(
            ValidationSettings.model_validate(
                {"cells": [{"language": "en", "category": "raw"}] * len(sources), "every_steps": 2, "windows": 9}
            ),
            [FakeWindows(count=count, seed=count) for count in sources],
        )
    start = asked.pop("start", None)
    train(
        settings(**asked.pop("settings", {})),
        FakeWindows(count=asked.pop("windows", 21)),
        folder / "out",
        seed=7,
        start=small_model() if start is None else Path(start),
        resume=folder / "resume",
        watchers=[Stop(folder, place.rank, asked.pop("stop_after", None))],
        launch=LaunchSettings.model_validate(launch),
        place=place,
        **{"micro_batch": 2, "threads": 1, "save_every_steps": 1} | asked,
    )


def run_ranks(folder, ranks, **asked):
    """Run `ranks` processes of this program and return their exit codes."""
    command = [sys.executable, __file__, str(folder), json.dumps(asked)]
    environments = build_environments(child_environment(), 0, ranks, ranks, 1, "127.0.0.1", find_port())
    return Children(LaunchSettings().stop_seconds).run(command, environments)


def read_reports(folder, rank=0):
    """All steps that were taken, the later of two attempts at one of them."""
    parts = [json.loads(path.read_text()) for path in sorted(folder.glob(f"reports-{rank}-*.json"))]
    return list({report["step"]: report for part in parts for report in part}.values())


if __name__ == "__main__":
    # as stages/rank.py ends
    try:
        main(Path(sys.argv[1]), json.loads(sys.argv[2]))
    except SystemExit as ended:
        leave(int(ended.code or 0))
    leave()
