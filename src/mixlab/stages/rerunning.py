"""An artifact made again beside the store: parents are linked, everything that is written lands in a folder apart.

`python -m mixlab.stages.rerunning --plan FILE --folder FOLDER STAGE KEY` is one process of it. The working folder stays
the current one, so that machine settings and the stores of verdicts and labels mean what they always do.
"""

import argparse
import importlib
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.store import Store
from mixlab.config.problems import UserError
from mixlab.config.tracking import TrackingSettings
from mixlab.plan.graph import Node, Plan
from mixlab.plan.planfile import read_plan
from mixlab.stages.doorway import limit_threads, make_artifact
from mixlab.stages.job import Session

LOG = "log.txt"
_LAST_LINES = 5


class RerunError(Exception):
    """An artifact could not be made again; `is_refused` where the machine lacks something, so that nothing is said."""

    def __init__(self, message: str, is_refused: bool) -> None:
        super().__init__(message)
        self.is_refused = is_refused


def link_inputs(store: Store, plan: Plan, node: Node, folder: Path) -> None:
    """Lay links to all that a node reads, and to the provenance of all above it, into a folder of its own."""
    there = Store(folder)
    for key in dict.fromkeys(node.inputs()):
        name = plan.nodes[key].name
        if not there.folder(*name).exists():
            _link(store.folder(*name), there.folder(*name))
    for key in plan.closure([node.key]) - {node.key}:
        stage, _ = plan.nodes[key].name
        told = store.root / "provenance" / stage / key
        if told.is_dir():
            _link(told, folder / "provenance" / stage / key)


def _link(target: Path, place: Path) -> None:
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target.resolve())


def rerun(root: Path, plan_file: Path, folder: Path, node: Node) -> Path:
    """Make a node again in a process of its own; return its folder. Raises RerunError where that does not go."""
    command = [sys.executable, "-P", "-m", __name__, "--plan", str(plan_file), "--folder", str(folder)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [*command, node.stage, node.key], cwd=root, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
    if code:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        raise RerunError("\n".join(lines[-_LAST_LINES:]) or f"exit code {code}", is_refused=code == UserError.exit_code)
    return Store(folder).folder(*node.name)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a run with all its children, so that none writes on after Ctrl-C."""
    for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def clear(folder: Path) -> None:
    """Remove a folder of links and what was made in it; what the links lead to stays."""
    shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make one artifact; leaves with 2 for what the machine lacks."""
    parser = argparse.ArgumentParser(description="Make an artifact again, in a folder apart.")
    parser.add_argument("--plan", type=Path, required=True, help="plan file")
    parser.add_argument("--folder", type=Path, required=True, help="where it is made, with links to what it reads")
    parser.add_argument("stage")
    parser.add_argument("key")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    planned = read_plan(options.plan)
    machine = planned.machine.model_copy(update={"tracking": TrackingSettings()})
    planned, node = replace(planned, machine=machine), planned.plan.nodes[options.key]
    try:
        limit_threads(planned, [node])
        host = importlib.import_module(f"mixlab.stages.{options.stage}").run
        make_artifact(host, planned, node, Store(options.folder), Session())
    except (UserError, ArtifactError) as error:
        sys.stderr.write(f"mixlab: {error}\n")
        sys.exit(error.exit_code)


def list_scores(plan: Plan, node: Node, finished: Iterable[tuple[str, str]]) -> list[Node]:
    """List the finished scores of a node's responses, whose other parents are finished as well."""
    done = set(finished)
    below = [plan.nodes[key] for key in plan.children()[node.key]]
    return [
        one
        for one in below
        if one.stage == "score" and one.name in done and all(plan.nodes[key].name in done for key in one.inputs())
    ]


if __name__ == "__main__":
    main()
