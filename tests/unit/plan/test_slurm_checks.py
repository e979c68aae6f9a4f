"""What a cluster would refuse is told before a job is submitted; the programs answer as on real clusters."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from mixlab.artifacts.runs import RUN_VARIABLE, list_runs
from mixlab.config.problems import ConfigError
from mixlab.plan import starting
from mixlab.plan.slurm import list_jobs
from mixlab.plan.starting import require_slurm, start_run

ENFORCED = (
    "AccountingStorageEnforce = associations,limits,qos,safe\nAccountingStorageType   = accounting_storage/slurmdbd"
)
KEPT = "AccountingStorageEnforce = none\nAccountingStorageType   = accounting_storage/slurmdbd"
NONE = "AccountingStorageEnforce = none\nAccountingStorageType   = accounting_storage/none"
Answer = Callable[..., None]


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Puts programs on the PATH, alone, that say what they are given: name -> text."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(**texts: str) -> None:
        for name, text in texts.items():
            (folder / f"{name}.txt").write_text(f"{text}\n" if text else "")
            (folder / name).write_text(f'#!/bin/sh\n/bin/cat "{folder}/{name}.txt"\n')
            (folder / name).chmod(0o755)

    return install


@dataclass(eq=False)
class Submitted:
    """A job of Snakemake's, or a group of them."""

    resources: dict[str, str | int]
    groupid: str
    jobs: tuple["Submitted", ...]
    is_local: bool = False

    @property
    def rule(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.groupid)


def job(rule: str = "ipt", **resources: str | int) -> Submitted:
    return Submitted(resources, rule, ())


def group(name: str, *jobs: Submitted, **resources: str | int) -> Submitted:
    return Submitted(resources, name, jobs)


def test_a_cluster_that_takes_no_job_without_an_account_is_asked_whose_there_are(answer: Answer) -> None:
    answer(sinfo="batch*\ngpu", scontrol=ENFORCED, sacctmgr="physics|\nchemistry|")
    with pytest.raises(ConfigError) as caught:
        require_slurm([job(), job(slurm_account="biology")], [], "sacct")
    missing, wrong = sorted(str(one) for one in caught.value.problems)[::-1]
    assert wrong.startswith("slurm_account: no account 'biology' of yours; yours: chemistry, physics (")
    assert missing.startswith("slurm_account: no account is given, and this cluster takes no job without; yours: chem")
    assert "--default-resources slurm_account=NAME" in missing
    require_slurm([job(slurm_account="physics"), job(slurm_account="Physics, chemistry")], [], "sacct")


def test_a_default_account_and_a_default_partition_are_enough(answer: Answer) -> None:
    answer(sinfo="batch*\ngpu", scontrol=ENFORCED, sacctmgr="physics|physics\nchemistry|physics")
    require_slurm([job(), job(slurm_partition="gpu,batch")], [], "sacct")


def test_accounts_that_are_kept_without_being_enforced_are_those_that_the_executor_takes(answer: Answer) -> None:
    answer(sinfo="batch*\ngpu", scontrol=KEPT, sacctmgr="")
    require_slurm([job(slurm_account="whatever")], [], "sacct")
    answer(sacctmgr="physics|")
    require_slurm([job(), job(slurm_account="physics")], [], "sacct")
    with pytest.raises(ConfigError, match="no account 'whatever' of yours; yours: physics"):
        require_slurm([job(slurm_account="whatever")], [], "sacct")


def test_a_time_that_no_partition_gives_is_told_before_the_job_waits_for_ever(answer: Answer) -> None:
    answer(sinfo="short* 30:00\nshort* 30:00\nday 1-00:00:00\nlong infinite\nodd n/a", scontrol=NONE)
    long, odd = (job(runtime=9999, slurm_partition=name) for name in ("long", "odd"))
    require_slurm([job(runtime=30), job(runtime=1440, slurm_partition="short,day"), long, odd, job()], [], "squeue")
    wrong = [job(runtime=31), job(runtime=20), job("sft", runtime=40), job(runtime=1441, slurm_partition="short,day")]
    parts = [job("counts", runtime=31), job("report", runtime=29)]
    groups = [group("report", *parts, runtime=60), group("packs", runtime=30)]
    with pytest.raises(ConfigError) as caught:
        require_slurm([*wrong, *parts], groups, "squeue")
    told = [str(one).partition(": lower stages.")[0] for one in caught.value.problems]
    assert told == [
        "slurm_partition: partition 'short' gives a job 30 minutes, and group report asks for 60, ipt asks for 31, sft "
        "asks for 40",
        "slurm_partition: partition 'short,day' gives a job 1440 minutes, and ipt asks for 1441",
    ]
    # a QOS may have limits of its own, and another cluster other partitions
    require_slurm([job(runtime=31, qos="long"), job(runtime=31, clusters="far")], [], "squeue")
    require_slurm([job(runtime=31)], [], "squeue", qos="long")


def test_nothing_is_asked_when_nothing_is_submitted(answer: Answer) -> None:
    require_slurm([], [], "sacct")


def test_hidden_partitions_are_there_and_what_goes_to_another_cluster_is_not_looked_at(
    answer: Answer, tmp_path: Path
) -> None:
    answer(sinfo="batch*", scontrol=NONE)
    sinfo = tmp_path / "programs/sinfo"
    sinfo.write_text('#!/bin/sh\necho "batch*"\ncase " $* " in *" --all "*) echo secret;; esac\n')
    require_slurm([job(slurm_partition="secret")], [], "squeue")
    for name in ("cluster", "clusters", "slurm_cluster"):
        require_slurm([job(slurm_partition="absent", slurm_account="ours", **{name: "next_door"})], [], "squeue")
    with pytest.raises(ConfigError, match="no partition 'absent'; this cluster has batch, secret"):
        require_slurm([job(slurm_partition="absent")], [], "squeue")


def test_a_cluster_without_accounts_or_a_default_partition_says_so_at_once(answer: Answer) -> None:
    answer(sinfo="gpu\nbatch", scontrol=NONE)
    with pytest.raises(ConfigError) as caught:
        require_slurm([job(slurm_account="ours"), job(slurm_partition="bacth")], [], "sacct")
    told = str(caught.value).splitlines()
    assert len(told) == 4
    assert told[0].startswith("slurm_partition: no partition 'bacth'; this cluster has batch, gpu (")
    assert told[1].startswith("slurm_partition: no partition is given and the cluster has no default one")
    assert told[2] == "slurm_account: this cluster keeps no accounts, and 'ours' is given: leave slurm_account out"
    assert told[3].startswith("sacct tells nothing")


def test_a_partition_that_takes_no_job_now_is_told_unless_another_is_named_beside(answer: Answer) -> None:
    answer(sinfo="gpu* 1:00:00 drain\ncpu 1:00:00 inactive\nbig infinite down", scontrol=NONE)
    with pytest.raises(ConfigError) as caught:
        require_slurm([job(), job(slurm_partition="cpu,gpu"), job(slurm_partition="big,cpu")], [], "squeue")
    told = [str(one).partition(":")[2].partition(" (")[0].strip() for one in caught.value.problems]
    assert told == [
        "partition 'gpu' is drain and takes no job now: wait, or name another partition",
        "partition 'cpu' is inactive, 'gpu' is drain and takes no job now: wait, or name another partition",
    ]


@pytest.mark.parametrize("said_by", ["option", "environment"])
def test_a_partition_that_the_executor_picks_by_its_own_file_needs_no_default(
    answer: Answer, tmp_path: Path, said_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(sinfo="gpu\nbatch", scontrol=NONE)
    monkeypatch.setattr(starting, "mend_executor", lambda executor: None)
    jobs = [job()]
    workflow = SimpleNamespace(
        executor_plugin=SimpleNamespace(name="slurm"),
        executor_settings=SimpleNamespace(status_command="squeue", partition_config=None, qos=None),
        scheduler=SimpleNamespace(_executor=SimpleNamespace(run_uuid="a-b")),
        dag=SimpleNamespace(needrun_jobs=lambda: iter(jobs), get_job_group=lambda _: None),
    )
    environment: dict[str, str] = {}
    with pytest.raises(SystemExit):
        start_run(tmp_path, Path("plan.jsonl"), {}, workflow, environment)
    assert (environment, list(tmp_path.glob("runs"))) == ({}, [])
    if said_by == "option":
        workflow.executor_settings.partition_config = Path("partitions.yaml")
    else:
        environment["SNAKEMAKE_SLURM_PARTITIONS"] = "partitions.yaml"
    start_run(tmp_path, Path("plan.jsonl"), {}, workflow, environment)
    starting._held.pop().close()
    (tmp_path / f"runs/{environment[RUN_VARIABLE]}.json").unlink()
    jobs.append(job(slurm_cluster="far,near"))
    start_run(tmp_path, Path("plan.jsonl"), {}, workflow, environment)
    starting._held.pop().close()
    assert [one.clusters for one in list_runs(tmp_path)] == [["far", "near"]]
    jobs[0].resources["slurm_partition"] = "absent"
    with pytest.raises(SystemExit):
        start_run(tmp_path, Path("plan.jsonl"), {}, workflow, environment)


def test_a_machine_that_is_no_login_node_is_a_mistake_of_place(answer: Answer) -> None:
    with pytest.raises(ConfigError, match=r"no (sinfo|scontrol) on this machine: .* from its login node"):
        require_slurm([job()], [], "sacct")


def test_the_queue_is_read_whatever_a_comment_holds(answer: Answer) -> None:
    answer(squeue="7|a-b|PENDING|0:00||Priority|/s|rule_ipt|x\n8|a-b|RUNNING|1-00:00:01|n[1-2]|None|/s|rule_sft")
    waiting, running = list_jobs(["a-b"])
    assert (waiting.id, waiting.comment, waiting.reason, waiting.nodes) == ("7", "rule_ipt|x", "Priority", "")
    assert (running.elapsed, running.nodes, running.name) == ("1-00:00:01", "n[1-2]", "a-b")


def test_the_queue_is_read_whatever_people_let_squeue_hide_and_others_write_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = tmp_path / "squeue"
    text = "CLUSTER: one\\n7|a-b|PENDING|0:00||None|/s|rule_ipt\\nby hand\\n8|c-d|RUNNING|1:00|n1|None|/s|caf\\351\\n"
    squeue.write_text(f'#!/bin/sh\nprintf \'%s\\n\' "$*" > "$0.asked"\nenv > "$0.env"\nprintf \'{text}\'\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hidden = {"SQUEUE_STATES": "RUNNING", "SQUEUE_PARTITION": "gpu", "SQUEUE_FORMAT2": "jobid", "SLURM_CLUSTERS": "one"}
    for name, value in {**hidden, "LOGNAME": "somebody", "USER": "somebody"}.items():
        monkeypatch.setenv(name, value)
    assert [(one.id, one.name, one.comment) for one in list_jobs({"c-d", "a-b"})] == [
        ("7", "a-b", "rule_ipt"),
        ("8", "c-d", "caf\N{REPLACEMENT CHARACTER}"),
    ]
    asked = Path(f"{squeue}.asked").read_text().split()
    assert asked[asked.index("--user") + 1] == str(os.getuid())
    assert asked[asked.index("--name") + 1] == "a-b,c-d"
    seen = Path(f"{squeue}.env").read_text()
    assert "SLURM_CLUSTERS=one\n" in seen
    assert "SQUEUE_" not in seen
