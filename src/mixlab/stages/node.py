"""The ranks of one machine of several: `srun python -m mixlab.stages.node JOB`, once on each."""

import json
import os
import socket
import sys
import time
from pathlib import Path

from mixlab.config.problems import DataError
from mixlab.training.launching.failures import find_first_failure, has_failed, write_failure
from mixlab.training.launching.job import RankJob, read_job
from mixlab.training.launching.processes import (
    Children,
    build_environments,
    check_codes,
    check_killed,
    find_ending,
    find_port,
)
from mixlab.training.process import ignore_endings

_MEETING_FILE = "meeting.json"
_MEETING_SECONDS = 300.0


def run_node(path: Path, job: RankJob, node: int, address: str, port: int) -> list[int]:
    """Start this machine's ranks and return their exit codes."""
    command = [sys.executable, "-P", "-m", "mixlab.stages.rank", str(path)]
    launch = job.launch
    environments = build_environments(
        os.environ, node, launch.processes_per_node, launch.ranks, job.threads, address, port
    )
    children = Children(launch.stop_seconds, lambda: has_failed(path.parent))
    return children.run(command, environments)


def main(path: Path) -> None:
    """Meet the other machines where the first says, and run this one's ranks; Slurm says which one this is."""
    node = int(os.environ["SLURM_NODEID"])
    first_rank = 0
    try:
        job = read_job(path)
        first_rank = node * job.launch.processes_per_node
        nodes = int(os.environ["SLURM_NNODES"])
        if nodes != job.launch.nodes:
            raise DataError(
                f"launch: {job.launch.nodes} nodes asked for, but this step of Slurm has {nodes}; "
                "let the job ask for as many (--nodes)"
            )
        address, port = _meet(path.parent / _MEETING_FILE, node)
        codes = run_node(path, job, node, address, port)
        ignore_endings()
        first = find_first_failure(path.parent)
        if first is None or not first.has_cause:
            check_killed(codes, f" on {os.environ.get('SLURMD_NODENAME', socket.gethostname())}")
        if not find_ending(codes) and not has_failed(path.parent):
            check_codes(codes)
    except Exception as error:
        # the other nodes hear of it by this file: their ranks wait for those here
        write_failure(path.parent, first_rank, error)
        if isinstance(error, (DataError, RuntimeError)):
            sys.exit(2)
        raise
    sys.exit(find_ending(codes) or max((128 - code if code < 0 else code for code in codes), default=0))


def _meet(path: Path, node: int) -> tuple[str, int]:
    """Address and port of the first machine, which writes them where all can read; the folder is of this attempt."""
    if node == 0:
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps([socket.gethostname(), find_port()]), encoding="utf-8")
        temporary.replace(path)
    end = time.monotonic() + _MEETING_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            raise DataError(
                f"launch: node {node} waited {_MEETING_SECONDS:.0f} s for the first node's {path}; "
                "the working folder must lie on a file system that all nodes share"
            )
        time.sleep(0.2)
    address, port = json.loads(path.read_text(encoding="utf-8"))
    return str(address), int(port)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
