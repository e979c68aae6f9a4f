"""What Slurm says of itself and of jobs: its own commands, asked with a limit of time."""

import getpass
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mixlab.config.problems import ConfigError

_PATIENCE_SECONDS = 60
_SHORTER = (
    "lower stages.STAGE.runtime_minutes in config.yaml (of a group they add up; --groups STAGE=NAME parts one), "
    "or name another partition"
)
_SHUT = ("drain", "inactive", "inact")
"""States in which a partition takes no job; one that is down lets it wait."""
_HABITS = ("SQUEUE_", "SINFO_", "SCANCEL_")
"""Variables by which people let Slurm's commands show them less, or otherwise: what is asked here is all of it."""


@dataclass(frozen=True)
class SlurmJob:
    """A job in the queue: number, name, comment, state and its reason, run time as [days-]hh:mm:ss, and nodes.

    `folder` is that in which it works; `cluster` is empty for that of this machine.
    """

    id: str
    name: str
    comment: str
    state: str
    reason: str
    elapsed: str
    nodes: str
    folder: str
    cluster: str = ""


def has_slurm() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("squeue") is not None and shutil.which("sbatch") is not None


def list_jobs(names: Iterable[str], cluster: str = "") -> list[SlurmJob]:
    """List the jobs of this user with one of these names that have not ended, on this machine's cluster or another.

    Raises ConfigError when Slurm does not answer.
    """
    fields = "%i|%j|%T|%M|%N|%r|%Z|%k"
    # a user by number: what the shell says of the name may be another's, as after su
    chosen = ("--user", str(os.getuid()), "--name", ",".join(sorted(names)))
    said = _ask("squeue", *_go_to(cluster), "--all", "--noheader", *chosen, "--format", fields)
    jobs = []
    for line in said.split("\n"):
        words = line.split("|", 7)
        if len(words) < 8:  # no job: the rest of a comment of several lines, or the name of a cluster
            continue
        number, name, state, elapsed, nodes, reason, folder, comment = words
        jobs.append(SlurmJob(number, name, comment, state, reason, elapsed, nodes, folder, cluster))
    return jobs


def cancel_jobs(numbers: Sequence[str], cluster: str = "") -> None:
    """Cancel jobs of one cluster; those that have ended meanwhile are passed over."""
    if numbers:
        _ask("scancel", *_go_to(cluster), *numbers)


def _go_to(cluster: str) -> tuple[str, ...]:
    return (f"--clusters={cluster}",) if cluster else ()


@dataclass(frozen=True)
class Partitions:
    """The partitions of a cluster, hidden ones too: the most minutes of a job in each, and the default one, if any.

    `shut`: those that take no job now, and their state.
    """

    minutes: Mapping[str, float]
    default: str | None
    shut: Mapping[str, str]


def read_partitions() -> Partitions:
    """Ask Slurm which partitions it has."""
    rows = [line.split() for line in _ask("sinfo", "--all", "--noheader", "--format", "%P %l %a").splitlines()]
    minutes = {row[0].rstrip("*"): _read_minutes(row[1]) if len(row) > 1 else math.inf for row in rows if row}
    default = next((row[0].rstrip("*") for row in rows if row and row[0].endswith("*")), None)
    return Partitions(minutes, default, {row[0].rstrip("*"): row[2] for row in rows if row[2:] and row[2] in _SHUT})


def _read_minutes(limit: str) -> float:
    """Read a limit of time as Slurm writes it, `[days-]hh:mm:ss` or `mm:ss`; what is none (`infinite`) never ends."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if match is None:
        return math.inf
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return days * 1440 + hours * 60 + minutes + seconds / 60


@dataclass(frozen=True)
class Accounting:
    """Whether a cluster keeps accounts and the history of jobs, and whether it takes no job without an account."""

    is_kept: bool
    is_enforced: bool


def read_accounting() -> Accounting:
    """Ask Slurm how it keeps accounts."""
    settings = dict(re.findall(r"^(AccountingStorage\w+) *= *(\S*)", _ask("scontrol", "show", "config"), re.M))
    kind = settings.get("AccountingStorageType", "")
    enforced = set(settings.get("AccountingStorageEnforce", "").lower().split(","))
    is_kept = kind not in ("", "(null)", "accounting_storage/none")
    return Accounting(is_kept, is_kept and bool({"associations", "limits", "qos", "safe"} & enforced))


def list_accounts() -> tuple[list[str], str | None]:
    """List the accounts of this user, and the default one, None where there is none."""
    user = getpass.getuser()
    said = _ask(
        "sacctmgr", "--noheader", "--parsable2", "show", "user", user, "withassoc", "format=account,defaultaccount"
    )
    rows = [line.split("|") for line in said.splitlines() if "|" in line]
    default = next((row[1] for row in rows if row[1]), None)
    return sorted({row[0] for row in rows if row[0]}), default


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_PATIENCE_SECONDS,
            env={name: value for name, value in os.environ.items() if not name.startswith(_HABITS)},
        )
    except FileNotFoundError as error:
        raise ConfigError(
            f"no {command[0]} on this machine: a cluster's jobs are submitted from its login node"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"Slurm does not answer: {command[0]} said nothing for {_PATIENCE_SECONDS} s") from error
    if done.returncode:
        raise ConfigError(f"Slurm does not answer: {' '.join(command[:3])}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def check_partitions(wanted: Mapping[tuple[str, ...], Mapping[str, float]], partitions: Partitions) -> list[str]:
    """Say what is wrong with the partitions that jobs name; `wanted`: names -> what is submitted -> minutes it asks.

    Of several names Slurm takes one; there is none where the default is meant. A job that asks for more time than its
    partitions give would wait for ever, or be refused.
    """
    known = f"this cluster has {', '.join(sorted(partitions.minutes))}"
    cure = "--default-resources slurm_partition=NAME, or `default-resources:` in profiles/slurm/config.yaml"
    absent = sorted({one for names in wanted for one in names} - partitions.minutes.keys())
    problems = [f"no partition '{one}'; {known} ({cure})" for one in absent]
    if () in wanted and partitions.default is None:
        problems.append(f"no partition is given and the cluster has no default one; {known}: {cure}")
    for names, minutes in sorted(wanted.items()):
        chosen = names or (partitions.default or "",)
        if all(one in partitions.shut for one in chosen):
            states = ", ".join(f"'{one}' is {partitions.shut[one]}" for one in chosen)
            problems.append(f"partition {states} and takes no job now: wait, or name another partition ({cure})")
            continue
        limit = max(partitions.minutes.get(one, math.inf) for one in chosen)
        over = [f"{what} asks for {asked:g}" for what, asked in sorted(minutes.items()) if asked > limit]
        if over:
            where = f"partition '{','.join(chosen)}' gives a job {limit:g} minutes"
            problems.append(f"{where}, and {', '.join(over)}: {_SHORTER}")
    return problems


def check_accounts(wanted: Iterable[tuple[str, ...]], accounting: Accounting) -> list[str]:
    """Say what is wrong with the accounts that jobs name, each several or none.

    Where accounts are kept without being enforced Slurm would take any; Snakemake's executor refuses, job by job, those
    that are not among this user's, unless there are none at all.
    """
    wanted = set(wanted)
    given = sorted({one for names in wanted for one in names})
    if not accounting.is_kept:
        return [f"this cluster keeps no accounts, and '{one}' is given: leave slurm_account out" for one in given]
    if not given and not accounting.is_enforced:
        return []
    names, default = list_accounts()
    if not names and not accounting.is_enforced:
        return []
    known = f"yours: {', '.join(names)}" if names else "you have none: ask the cluster's administrators"
    cure = "--default-resources slurm_account=NAME, or `default-resources:` in profiles/slurm/config.yaml"
    problems = [f"no account '{one}' of yours; {known} ({cure})" for one in given if one.lower() not in names]
    if () in wanted and accounting.is_enforced and default is None:
        problems.append(f"no account is given, and this cluster takes no job without; {known}: {cure}")
    return problems
