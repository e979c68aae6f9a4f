"""What a cluster does to a run: a node dies, memory or time runs out, Snakemake is killed. Training on 2 x 2 ranks."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from checkouts import REPOSITORY
from runs import wait_for
from slurm_lab import Cluster, find_unsaid, list_submitted, measure_difference, prepare

pytestmark = [pytest.mark.long, pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(1200)]

ROUNDING = 1e-4
PATIENCE = 300


def read_said(root: Path) -> str:
    return (root / "snakemake.log").read_text()


def forget(table: str) -> list[list[str]]:
    """The cells of a table; for numbers, keys and times of a row stands their kind, of its label its beginning."""
    rows = []
    for line in table.splitlines():
        cells = re.split(r" {2,}", line.strip())
        cells = [re.sub(r"^[0-9a-f]{16}$", "KEY", re.sub(r"^[\d:]+$", "N", cell)) for cell in cells]
        rows.append([*cells[:-1], cells[-1].partition("/")[0]])
    return rows


def has_saved(root: Path, key: str) -> bool:
    return any((root / f"work/ipt/{key}/resume").glob("state-*[0-9]"))


def give_no_second_try(root: Path) -> None:
    """Let a job that fails be told at once."""
    config = root / "config.yaml"
    text = config.read_text()
    assert "retries: 2" in text, "mend the test"
    config.write_text(text.replace("retries: 2", "retries: 0"))


@pytest.fixture
def training(finished: Path, tmp_path: Path) -> tuple[Path, str]:
    """A study whose ipt is to be made by four ranks on two nodes, and the key of one of them."""
    root = tmp_path / "study 二台"
    return root, prepare(finished, root, per_node=2)


@pytest.mark.parametrize("is_missed", [True, False])
def test_a_job_whose_node_dies_goes_back_into_the_queue_and_on(
    cluster: Cluster, training: tuple[Path, str], finished: Path, is_missed: bool
) -> None:
    """Whether Slurm misses the node, or it is back before that, without what ran on it."""
    root, key = training
    process = cluster.snakemake(root, f"artifacts/ipt/{key}/manifest.json")
    wait_for(lambda: has_saved(root, key), PATIENCE)
    (job,) = list_submitted(root)
    cluster.slurm.kill_node("n2")
    if not is_missed:
        cluster.slurm.start_node("n2")
    try:
        # requeued by Slurm under its number, or ended by its other node first and submitted again by Snakemake
        wait_for(lambda: cluster.tell(job, "Restarts") == "1" or len(list_submitted(root)) == 2, PATIENCE)
        is_requeued = cluster.tell(job, "Restarts") == "1"
    finally:
        if is_missed:
            cluster.slurm.start_node("n2")
    (root / "slow").unlink()
    assert process.wait(2 * PATIENCE) == 0, read_said(root)
    submitted = list_submitted(root)
    if is_requeued:  # under its number, and Snakemake saw nothing of it
        assert is_missed, "Slurm cannot have missed a node that was back at once"
        assert (submitted, cluster.tell(job, "JobState")) == ([job], "COMPLETED")
    else:
        assert (len(submitted), cluster.tell(job, "JobState")) == (2, "FAILED")
        assert cluster.tell(submitted[1], "JobState") == "COMPLETED"
    log = (root / f"logs/ipt/{key}.log").read_text()
    assert "rank 0 of 4 on cpu" in log
    assert re.search(r"resuming after step [1-9]", log)
    (provenance,) = (root / "provenance/ipt" / key).glob("*.json")
    assert json.loads(provenance.read_text())["facts"]["ranks"] == "4"
    assert measure_difference(root / "artifacts/ipt" / key, finished / "artifacts/ipt" / key) <= ROUNDING


def test_a_running_orphan_is_listed_and_cancelled_and_a_restart_goes_on_from_its_state(
    cluster: Cluster, training: tuple[Path, str]
) -> None:
    root, key = training
    process = cluster.snakemake(root, f"artifacts/ipt/{key}/manifest.json")
    wait_for(lambda: has_saved(root, key), PATIENCE)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert cluster.mixlab(root, "unlock").returncode == 2
    (orphan,) = json.loads(cluster.mixlab(root, "cluster", "orphans", "--json").stdout)["orphans"]
    (job,) = list_submitted(root)
    told = {name: orphan[name] for name in ("job", "stage", "key", "state", "nodes")}
    assert told == {"job": job, "stage": "ipt", "key": key, "state": "RUNNING", "nodes": "n[1-2]"}
    assert orphan["label"].startswith("micro/")
    assert [writer["key"] for writer in orphan["writers"]] == [key]
    said = cluster.mixlab(root, "cluster", "orphans").stdout
    # numbers, keys, times and widths of columns apart, as docs/cluster.md shows it
    shown = (REPOSITORY / "docs/cluster.md").read_text(encoding="utf-8").partition("\n## After a kill\n")[2]
    table = shown.partition("```text\n")[2].partition("```")[0]
    assert forget(said) == forget(table)
    done = cluster.mixlab(root, "cluster", "orphans", "--cancel", "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 of 1 orphan ended."), done.stderr
    assert cluster.mixlab(root, "unlock").returncode == 0
    (root / "slow").unlink()
    process = cluster.snakemake(root, f"artifacts/ipt/{key}/manifest.json")
    assert process.wait(2 * PATIENCE) == 0, read_said(root)
    assert re.search(r"resuming after step [1-9]", (root / f"logs/ipt/{key}.log").read_text())


def test_a_job_over_its_memory_is_told(cluster: Cluster, training: tuple[Path, str]) -> None:
    root, key = training
    give_no_second_try(root)
    process = cluster.snakemake(root, "--set-resources", "ipt:mem_mb=250", "--", f"artifacts/ipt/{key}/manifest.json")
    assert process.wait(PATIENCE) == 1, read_said(root)
    (log,) = (root / "logs/slurm").rglob("*.log")
    assert find_unsaid("More memory than was asked for", read_said(root) + log.read_text()) == []


def test_a_job_over_its_time_is_told_and_what_it_saved_is_kept(cluster: Cluster, training: tuple[Path, str]) -> None:
    root, key = training
    give_no_second_try(root)
    process = cluster.snakemake(root, "--set-resources", "ipt:runtime=1", "--", f"artifacts/ipt/{key}/manifest.json")
    assert process.wait(2 * PATIENCE) == 1, read_said(root)
    (log,) = (root / "logs/slurm").rglob("*.log")
    assert find_unsaid("More time than was asked for", read_said(root) + log.read_text()) == []
    assert has_saved(root, key)
