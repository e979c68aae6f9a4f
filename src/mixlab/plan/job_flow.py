"""What the Snakefile looks up in a job's own process: told by the run that submitted it, it plans nothing itself.

A job of a cluster starts Snakemake twice before its program, and each reads the rules. So this imports nothing of the
plan, and looks at no artifact but those its job names.
"""

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.runs import RUN_VARIABLE, JobCard, read_jobs
from mixlab.config.problems import UserError

if TYPE_CHECKING:
    from mixlab.plan.workflow import Flow

NOTHING = "config.yaml"
"""A file that is always there: a target that wants nothing names it, so that Snakemake has nothing to do."""

NEVER = "nothing-is-absent"
"""A pattern that matches no artifact."""


def open_flow(root: Path, config: Mapping[str, Any], is_main: bool, environment: dict[str, str]) -> "Flow | JobFlow":
    """Open what the Snakefile looks things up in: the plan, or in a job of a run that is noted what the run told it.

    A user's mistake is printed without a traceback and ends the process with exit code 2, whatever Snakemake would make
    of it.
    """
    try:
        told = None if is_main else read_jobs(root / "work", environment.get(RUN_VARIABLE, ""))
        if told is not None:
            plan, jobs = told
            return JobFlow(root, Path(plan), jobs)
        from mixlab.plan.workflow import open_workflow

        with _kept_to_the_end():
            return open_workflow(root, config, is_main, environment)
    except (UserError, ArtifactError) as error:
        os.write(2, f"mixlab: {error}\n".encode())
        os._exit(2)


@contextmanager
def _kept_to_the_end() -> Iterator[None]:
    """Spare the garbage collector what is made here and before: Snakemake keeps a plan as long as its process lives.

    Searched again with each of Snakemake's own collections it takes a fifth of `snakemake -n` at 7,557 artifacts.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def write_command(run: str, stage: str, plan_file: Path) -> str:
    """The command line of a stage's jobs, up to their keys; `run` is how a doormat is called."""
    return f"{run}/{stage}.py --plan {quote(str(plan_file))}"


@dataclass(frozen=True)
class JobFlow:
    """As `workflow.Flow`, of the jobs of one run; all else is finished, and needs nothing."""

    root: Path
    plan_file: Path
    jobs: Mapping[str, JobCard]

    stages = ()
    targets = (NOTHING,)
    fetched = ()
    single_fetch_pattern = NEVER

    @cached_property
    def _leaders(self) -> dict[str, str]:
        leaders: dict[str, str] = {}
        for leader, job in self.jobs.items():
            for key in job.keys:
                leaders.setdefault(key, leader)
        return leaders

    def inputs(self, stage: str) -> Callable[[Any], list[str]]:
        """Return the input function of a stage's rule: nothing for a finished artifact, all inputs for another."""

        def list_inputs(wildcards: Any) -> list[str]:
            leader = wildcards.key if wildcards.key in self.jobs else self._leaders.get(wildcards.key)
            if leader is None or (self.root / f"artifacts/{stage}/{wildcards.key}/manifest.json").exists():
                return []
            if leader != wildcards.key:
                return [f"artifacts/{stage}/{leader}/manifest.json"]
            return list(self.jobs[leader].inputs)

        return list_inputs

    def pattern(self, stage: str) -> str:
        """Pattern of any key."""
        return "[0-9a-f]{16}"

    def command(self, run: str, stage: str) -> str:
        """The command line of a stage's jobs, up to their keys; `run` is how a doormat is called."""
        return write_command(run, stage, self.plan_file)

    def group_command(self, run: str, stage: str) -> Callable[[Any], str]:
        """Return the function that writes a grouped job's command line: all that it makes."""

        def write_keys(wildcards: Any) -> str:
            return f"{self.command(run, stage)} --key {' '.join(self._find(stage, wildcards).keys)}"

        return write_keys

    def threads(self, stage: str) -> Callable[[Any], int]:
        """Return the function that says how many CPU threads a job has."""
        return lambda wildcards: self._find(stage, wildcards).threads

    def asked(self, stage: str) -> dict[str, Callable[[Any], int | str | None]]:
        """What jobs ask for, by name, each as a function of the job; None where that job does not ask for it."""
        names = dict.fromkeys(name for job in self.jobs.values() for name in job.asked)
        return {name: partial(self._ask, stage, name) for name in names}

    def _ask(self, stage: str, name: str, wildcards: Any) -> int | str | None:
        return self._find(stage, wildcards).asked.get(name)

    def retries(self, stage: str) -> int:
        """None: the run that submitted the job starts it again."""
        return 0

    def _find(self, stage: str, wildcards: Any) -> JobCard:
        """What the run told of a job, or that it is finished; raises ArtifactError for one that is neither."""
        key = wildcards.key
        if key in self.jobs:
            return self.jobs[key]
        if key not in self._leaders and not (self.root / f"artifacts/{stage}/{key}/manifest.json").exists():
            raise ArtifactError(f"{stage} {key}: the run that submitted this job told nothing of it; run it again")
        return _FINISHED


_FINISHED = JobCard((), (), 1, {})
"""Of what Snakemake looks at beside a job: it is there, and nothing is started for it."""
