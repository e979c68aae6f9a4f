"""The way into every stage: from a command line to a published artifact."""

import argparse
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mixlab.artifacts.attempts import attempting
from mixlab.artifacts.code import watch_code
from mixlab.artifacts.elapsed import Clock, timing
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import split_reference
from mixlab.artifacts.manifest import Manifest
from mixlab.artifacts.processes import describe_process
from mixlab.artifacts.provenance import read_commit, read_provenance, write_provenance
from mixlab.artifacts.runs import RUN_VARIABLE
from mixlab.artifacts.store import Draft, Store
from mixlab.config.problems import UserError
from mixlab.plan.canonical import to_plain
from mixlab.plan.engines import count_gpus
from mixlab.plan.graph import Node, Plan
from mixlab.plan.planfile import PlanFile, read_plan
from mixlab.plan.stages import STAGES
from mixlab.stages.job import Inputs, Session

log = logging.getLogger(__name__)

Host = Callable[[Any, Inputs, Path], Mapping[str, str] | None]
"""Makes one artifact; may return facts of this run that decide no byte, for its provenance: device, sandbox."""


def main(stage: str, run: Host, arguments: Sequence[str] | None = None) -> None:
    """Make the artifacts of `stage` named on the command line; leaves with 2 for a user's mistake."""
    watch_code()
    parser = argparse.ArgumentParser(
        description=f"Make {STAGES[stage].makes}.", epilog=f"example: {stage}.py --plan work/plans/PLAN.jsonl --key KEY"
    )
    parser.add_argument("--plan", type=Path, required=True, help="plan file written when the workflow was read")
    parser.add_argument("--key", nargs="+", required=True, help="keys of the artifacts to make")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        make_artifacts(stage, run, options.plan, options.key, Store(Path.cwd()))
    except (UserError, ArtifactError) as error:
        _tell(f"mixlab: {error}\n")
        sys.exit(2)


def _tell(text: str) -> None:
    """Say it in the log; where that cannot be written, as on a full disk, on the terminal."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        sys.stderr = sys.stdout  # what waits to be written there would change the exit code
        sys.stdout.write(text)


def make_artifacts(stage: str, run: Host, plan_path: Path, keys: Sequence[str], store: Store) -> None:
    """Make artifacts one after the other in this process; a failure leaves those before it published.

    A model that fails holds up no other: its own next artifacts are left out, and the first failure is raised at the
    end.
    """
    if not plan_path.is_file():
        raise ArtifactError(f"no plan file {plan_path}; snakemake writes one when it reads the workflow")
    planned = read_plan(plan_path)
    nodes = [planned.plan.nodes.get(key) for key in keys]
    found = [node for node in nodes if node is not None and node.stage == stage]
    if len(found) < len(keys):
        missing = sorted(set(keys) - {node.key for node in found})
        raise ArtifactError(f"{stage} {', '.join(missing)}: not in {plan_path}")
    limit_threads(planned, found)
    session = Session()
    failures: dict[str, Exception] = {}
    for node in found:
        if node.group in failures:
            continue
        try:
            ended_by = make_artifact(run, planned, node, store, session)
        except Exception as error:
            if node.group == found[0].group == found[-1].group:
                raise
            is_told = isinstance(error, (UserError, ArtifactError))
            log.error("%s %s (%s) failed: %s", *node.name, node.label, error, exc_info=None if is_told else error)
            failures[node.group] = _let_go(error)
            if session.kept.get(("process",)) == node.key:
                del session.kept[("process",)]  # the next says how long this process took to start
            continue
        if ended_by is not None and node is not found[-1]:
            signal.raise_signal(ended_by)
    for failure in failures.values():
        raise failure


def _let_go(error: Exception) -> Exception:
    """Return an error without the frames that it passed: they hold a model that the next one needs the memory of."""
    error.__cause__ = error.__context__ = error.__traceback__ = None
    gc.collect()
    return error


def limit_threads(planned: PlanFile, nodes: Iterable[Node]) -> None:
    """Let the tokenizers library take no more cores than the job was given: it would take all of the machine."""
    threads = max(planned.machine_for(node).resources(node.stage).threads for node in nodes)
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads))


def make_artifact(run: Host, planned: PlanFile, node: Node, store: Store, session: Session) -> int | None:
    """Make one artifact under its lock, or find it whole already; return the signal that came while publishing."""
    process = describe_process()
    session.once(("code",), watch_code)
    commit = session.once(("commit",), lambda: read_commit(store.root))
    started = time.perf_counter()
    origin = {"run": os.environ.get(RUN_VARIABLE, ""), "job": os.environ.get("SLURM_JOB_ID", "")}
    with store.writing(node.stage, node.key, origin) as draft, attempting(store, node.name):
        if draft is None:
            log.info("%s %s is already whole", node.stage, node.key)
            return None
        if session.once(("process",), lambda: node.key) != node.key:
            process.pop("start_seconds", None)
        resources = planned.machine_for(node).resources(node.stage)
        with timing(store, node.name, count_gpus(node.spec, resources), resources.launch.ranks) as clock:
            inputs = open_inputs(planned, node, store, draft, session)
            facts = run(node.spec, inputs, draft.out) or {}
            parents = {role: list(references) for role, references in node.parents.items()}
            # provenance first: a kill between the two must not leave an artifact that nobody made
            with _not_ending() as received:
                manifest = draft.publish(
                    to_plain(node.spec),
                    parents,
                    lambda made: _note_provenance(store, made, node, inputs, started, facts, process, commit, clock),
                )
    seconds = time.perf_counter() - started
    log.info("%s %s (%s): %d bytes in %.1f s", node.stage, node.key, node.label, manifest.bytes, seconds)
    return received[0] if received else None


@contextmanager
def _not_ending() -> Iterator[list[int]]:
    """Publish what is made though Slurm's signal comes now, minutes before the end; else it were made again.

    Yields the list of the signals that came.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = (signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, lambda came, frame: received.append(came)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _note_provenance(
    store: Store,
    manifest: Manifest,
    node: Node,
    inputs: Inputs,
    started: float,
    facts: Mapping[str, str],
    process: Mapping[str, str | float],
    commit: str,
    clock: Clock,
) -> None:
    machine = {
        "threads": inputs.threads,
        "micro_batch_windows": inputs.machine.micro_batch_windows,
        "generation_batch": inputs.machine.generation_batch,
        "gpus": count_gpus(node.spec, inputs.machine.resources(node.stage)),
        "kernels": inputs.machine.kernels.model_dump(mode="json"),
    }
    seconds = time.perf_counter() - started
    promise = STAGES[node.stage].reproducible
    write_provenance(store, manifest, node.label, seconds, promise, machine, facts, process, commit, clock.earlier)
    clock.settle()


def open_inputs(planned: PlanFile, node: Node, store: Store, draft: Draft, session: Session) -> Inputs:
    """Open and verify everything a node needs; raises ArtifactError for what is absent or damaged."""
    folders: dict[str, tuple[Path, ...]] = {}
    specs: dict[str, tuple[Any, ...]] = {}
    for role, references in {**node.reads, **node.parents}.items():
        nodes = [_node(planned.plan, reference) for reference in references]
        specs[role] = tuple(parent.spec for parent in nodes)
        folders[role] = tuple(
            session.once(("verified", reference), partial(store.open, parent.stage, reference))
            for parent, reference in zip(nodes, references, strict=True)
        )
    machine = planned.machine_for(node)
    return Inputs(
        planned.plan,
        node,
        folders,
        specs,
        draft.resume,
        planned.files,
        machine,
        machine.resources(node.stage).threads,
        session,
        partial(_read_facts, store),
        store.metrics,
    )


def _read_facts(store: Store, node: Node) -> list[Mapping[str, str]]:
    return [record.get("facts", {}) for record in read_provenance(store, *node.name)]


def _node(plan: Plan, reference: str) -> Node:
    return plan.nodes[split_reference(reference)[0]]
