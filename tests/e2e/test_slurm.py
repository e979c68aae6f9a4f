"""`snakemake --profile slurm` on a real Slurm: what is refused before it starts, what outlives it, what it submits.

The cases follow one another on one copy of a finished study whose last stages are to be made again.
"""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from checkouts import CONFIG
from runs import read_artifacts, wait_for
from slurm_lab import Cluster, find_unsaid, list_submitted, prepare

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]

LAST = ("scores", "aggregate", "report")
PATIENCE = 120


@pytest.fixture(scope="module")
def root(cluster: Cluster, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study without its last stages, whose CPU stages have a partition of their own."""
    root = tmp_path_factory.mktemp("cluster") / "study 計算"
    shutil.copytree(finished, root, symlinks=True)
    for stage in LAST:
        for folder in ("artifacts", "work", "provenance", "logs"):
            shutil.rmtree(root / folder / stage, ignore_errors=True)
    # a process for each model, so that there is something to group
    (root / "config.yaml").write_text(
        f"{CONFIG}  cluster: {{cpu_partition: cpu}}\n  stages: {{score: {{memory_mib: 1000}}}}\n"
    )
    return root


def test_what_the_cluster_would_refuse_is_told_at_once_and_nothing_is_submitted(cluster: Cluster, root: Path) -> None:
    wrong = ["--set-resources", "scores:slurm_partition=gqu", "--default-resources", "slurm_account=ours"]
    process = cluster.snakemake(root, *wrong, "--slurm-status-command", "sacct", "all")
    assert process.wait(PATIENCE) == 2, (root / "snakemake.log").read_text()
    said = (root / "snakemake.log").read_text()
    assert find_unsaid("A partition or an account that the cluster does not have", said) == []
    assert "Traceback" not in said
    assert list_submitted(root) == []
    assert cluster.call("squeue", "--noheader") == ""
    # less time than what is submitted together asks for
    cluster.call("scontrol", "update", "PartitionName=cpu", "MaxTime=30")
    try:
        assert cluster.snakemake(root, "all").wait(PATIENCE) == 2, (root / "snakemake.log").read_text()
    finally:
        cluster.call("scontrol", "update", "PartitionName=cpu", "MaxTime=60")
    said = (root / "snakemake.log").read_text()
    assert find_unsaid("A partition or an account that the cluster does not have", said, block=1) == []
    # a cluster without a default partition; the locks of the run that was refused are gone
    cluster.call("scontrol", "update", "PartitionName=gpu", "Default=NO")
    try:
        process = cluster.snakemake(root, "--set-resources", "scores:slurm_partition=", "--", "all")
        assert process.wait(PATIENCE) == 2, (root / "snakemake.log").read_text()
    finally:
        cluster.call("scontrol", "update", "PartitionName=gpu", "Default=YES")
    said = (root / "snakemake.log").read_text()
    assert (
        "slurm_partition: no partition is given and the cluster has no default one; this cluster has cpu, gpu" in said
    )


def test_jobs_of_a_killed_run_are_listed_and_cancelled(cluster: Cluster, root: Path) -> None:
    assert json.loads(cluster.mixlab(root, "cluster", "orphans", "--json").stdout) == {
        "slurm": True,
        "orphans": [],
        "left": 0,
    }
    cluster.call("scontrol", "update", "PartitionName=cpu", "State=DOWN")  # so that jobs wait in the queue
    process = cluster.snakemake(root, "--groups", "score=a", "--", "all")
    wait_for(lambda: len(list_submitted(root)) == 6, PATIENCE)
    waiting = json.loads(cluster.mixlab(root, "cluster", "orphans", "--json").stdout)
    assert waiting["orphans"] == []  # the run lives
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    said = cluster.mixlab(root, "cluster", "orphans")
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0].split() == ["job", "stage", "key", "state", "elapsed", "where", "label"]
    found = json.loads(cluster.mixlab(root, "cluster", "orphans", "--json").stdout)["orphans"]
    assert sorted(one["job"] for one in found) == sorted(list_submitted(root))
    assert {one["stage"] for one in found} == {"scores"}
    assert {one["state"].partition(" ")[0] for one in found} == {"PENDING"}
    assert all("micro/" in one["label"] for one in found)
    done = cluster.mixlab(root, "cluster", "orphans", "--cancel", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "6 of 6 orphans ended."
    assert cluster.call("squeue", "--noheader") == ""
    cluster.call("scontrol", "update", "PartitionName=cpu", "State=UP")


def test_a_restart_completes_in_fewer_submissions_than_jobs_and_with_the_same_bytes(
    cluster: Cluster, root: Path, finished: Path
) -> None:
    assert cluster.mixlab(root, "unlock").returncode == 0
    process = cluster.snakemake(root, "all")
    assert process.wait(400) == 0, (root / "snakemake.log").read_text()
    said = (root / "snakemake.log").read_text()
    assert re.search(r"^total +9$", said, re.M), said  # six models' scores, aggregate, report, and all
    submitted = list_submitted(root)
    assert len(submitted) == 3, said
    assert {cluster.tell(job, "Partition") for job in submitted} == {"cpu"}
    for stage in LAST:
        again, first = read_artifacts(root, stage), read_artifacts(finished, stage)
        assert again.keys() == first.keys()
        assert again == first
    # Slurm's own words are kept of what failed alone
    assert said.count(f"(log: {root}/logs/slurm/") == 3
    assert list((root / "logs/slurm").rglob("*.log")) == []


def test_a_training_on_two_nodes_outlives_its_run_and_is_cancelled(
    cluster: Cluster, finished: Path, tmp_path: Path
) -> None:
    """It is asked for by name, and no study waits for it: its job is told all the same how it is spread."""
    root = tmp_path / "two nodes 二台"
    key = prepare(finished, root, per_node=1, is_wanted=False)
    process = cluster.snakemake(root, f"artifacts/ipt/{key}/manifest.json")
    wait_for(lambda: any((root / f"work/ipt/{key}/resume").glob("state-*[0-9]")), PATIENCE)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (job,) = list_submitted(root)
    assert cluster.tell(job, "NumNodes") == "2"
    assert "rank 0 of 2 on cpu" in (root / f"logs/ipt/{key}.log").read_text()
    (orphan,) = json.loads(cluster.mixlab(root, "cluster", "orphans", "--json").stdout)["orphans"]
    assert (orphan["job"], orphan["stage"], orphan["key"], orphan["state"]) == (job, "ipt", key, "RUNNING")
    assert [writer["job"] for writer in orphan["writers"]] == [job]
    done = cluster.mixlab(root, "cluster", "orphans", "--cancel", "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 of 1 orphan ended."), done.stderr
    assert cluster.tell(job, "JobState") == "CANCELLED"
