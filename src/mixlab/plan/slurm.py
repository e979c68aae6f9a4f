"""What Slurm says of itself and of jobs: its own commands, asked with a limit of time."""

import getpass
import math
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


@dataclass(frozen=True)
class SlurmJob:
    """A job in the queue: number, name, comment, state and its reason, run time as [days-]hh:mm:ss, and nodes."""

    id: str
    name: str
    comment: str
    state: str
    reason: str
    elapsed: str
    nodes: str


def has_slurm() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("squeue") is not None and shutil.which("sbatch") is not None


def list_jobs() -> list[SlurmJob]:
    """List the jobs of this user that have not ended; raises ConfigError when Slurm does not answer."""
    fields = "%i|%j|%T|%M|%N|%r|%k"
    said = _ask("squeue", "--all", "--noheader", "--user", getpass.getuser(), "--format", fields)
    jobs = []
    for line in said.splitlines():
        number, name, state, elapsed, nodes, reason, comment = line.split("|", 6)
        jobs.append(SlurmJob(number, name, comment, state, reason, elapsed, nodes))
    return jobs


def cancel_jobs(numbers: Sequence[str]) -> None:
    """Cancel jobs; those that have ended meanwhile are passed over."""
    if numbers:
        _ask("scancel", *numbers)


@dataclass(frozen=True)
class Partitions:
    """Partitions of a cluster: minutes that each gives a job, infinity where it sets no limit; the default one."""

    minutes: dict[str, float]
    default: str | None


def list_partitions() -> Partitions:
    """List the partitions of this cluster, hidden ones too; its default is None where there is none."""
    minutes, default = {}, None
    for line in _ask("sinfo", "--all", "--noheader", "--format", "%P|%l").splitlines():
        name, _, limit = line.strip().partition("|")
        default = name.rstrip("*") if name.endswith("*") else default
        minutes[name.rstrip("*")] = _read_minutes(limit)
    return Partitions(minutes, default)


def _read_minutes(limit: str) -> float:
    """Read [days-]hours:minutes:seconds or minutes:seconds; what is no time is no limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit.strip())
    if found is None:
        return math.inf
    days, hours, minutes, seconds = (int(one or 0) for one in found.groups())
    return 1440 * days + 60 * hours + minutes + seconds / 60


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
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
    except FileNotFoundError as error:
        raise ConfigError(
            f"no {command[0]} on this machine: a cluster's jobs are submitted from its login node"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"Slurm does not answer: {command[0]} said nothing for {_PATIENCE_SECONDS} s") from error
    if done.returncode:
        raise ConfigError(f"Slurm does not answer: {' '.join(command[:3])}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def check_partitions(wanted: Mapping[str, Mapping[str, float]], partitions: Partitions) -> list[str]:
    """Say what is wrong with the partitions that jobs name; `wanted`: name -> what is submitted -> minutes it asks for.

    The name may list several, of which Slurm takes one; it is empty where a job names none. A job that asks for more
    time than its partitions give would wait for ever, or be refused.
    """
    known = f"this cluster has {', '.join(sorted(partitions.minutes))}"
    cure = "--default-resources slurm_partition=NAME, or `default-resources:` in profiles/slurm/config.yaml"
    named = {name: _split(name) for name in wanted}
    absent = sorted({one for names in named.values() for one in names} - partitions.minutes.keys())
    problems = [f"no partition '{one}'; {known} ({cure})" for one in absent]
    if "" in wanted and partitions.default is None:
        problems.append(f"no partition is given and the cluster has no default one; {known}: {cure}")
    for name, minutes in sorted(wanted.items()):
        limit = max(partitions.minutes.get(one, math.inf) for one in named[name] or [partitions.default or ""])
        over = [f"{what} asks for {asked:g}" for what, asked in sorted(minutes.items()) if asked > limit]
        if over:
            where = f"partition '{name or partitions.default}' gives a job {limit:g} minutes"
            problems.append(f"{where}, and {', '.join(over)}: {_SHORTER}")
    return problems


def _split(names: str) -> list[str]:
    return [one for one in re.split(r"[,\s]+", names) if one]


def check_accounts(wanted: Iterable[str], accounting: Accounting) -> list[str]:
    """Say what is wrong with the accounts that jobs name; a name may list several, and is empty where there is none.

    Where accounts are kept without being enforced Slurm would take any; Snakemake's executor refuses, job by job, those
    that are not among this user's, unless there are none at all.
    """
    given = sorted({one for names in wanted for one in _split(names)})
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
    if "" in wanted and accounting.is_enforced and default is None:
        problems.append(f"no account is given, and this cluster takes no job without; {known}: {cure}")
    return problems
