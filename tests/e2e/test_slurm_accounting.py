"""`snakemake --profile slurm` on a Slurm that keeps accounts and history, as most clusters do: sacct tells of jobs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import CONFIG
from runs import read_artifacts
from slurm_cluster import PrivateSlurm, find_obstacle
from slurm_lab import Cluster, find_unsaid, list_submitted, prepare

pytestmark = [pytest.mark.long, pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(1200)]

LAST = ("scores", "aggregate", "report")
PATIENCE = 400


@pytest.fixture(scope="module")
def accounted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Slurm with accounts, in the place of the session's own."""
    cluster.slurm.down()
    slurm = PrivateSlurm(tmp_path_factory.mktemp("accounted"), has_accounts=True)
    try:
        if obstacle := find_obstacle(has_accounts=True):
            give_up = pytest.fail if os.environ.get("MIXLAB_REQUIRE_SLURM") else pytest.skip
            give_up(obstacle)
        slurm.up()
        yield Cluster(slurm)
    finally:
        slurm.down()
        cluster.slurm.up()


def test_an_account_that_is_not_ours_is_told_at_once_and_with_ours_a_run_completes(
    accounted: Cluster, finished: Path, tmp_path: Path
) -> None:
    root = tmp_path / "study 会計"
    shutil.copytree(finished, root, symlinks=True)
    for stage in LAST:
        for folder in ("artifacts", "work", "provenance", "logs"):
            shutil.rmtree(root / folder / stage, ignore_errors=True)
    (root / "config.yaml").write_text(f"{CONFIG}  cluster: {{cpu_partition: cpu}}\n")
    process = accounted.snakemake(root, "--default-resources", "slurm_account=theirs", "--", "all")
    assert process.wait(PATIENCE) == 2, (root / "snakemake.log").read_text()
    said = (root / "snakemake.log").read_text()
    assert "slurm_account: no account 'theirs' of yours; yours: ours, root (--default-resources" in said
    assert list_submitted(root) == []

    process = accounted.snakemake(root, "--default-resources", "slurm_account=ours", "--", "all")
    assert process.wait(PATIENCE) == 0, (root / "snakemake.log").read_text()
    submitted = list_submitted(root)
    assert len(submitted) == 3
    rows = accounted.call("sacct", "-X", "-n", "-P", "-o", "account,state", "-j", ",".join(submitted)).splitlines()
    assert rows == ["ours|COMPLETED"] * 3
    for stage in LAST:
        assert read_artifacts(root, stage) == read_artifacts(finished, stage)


@pytest.mark.parametrize(
    ("asked", "heading"),
    [("mem_mb=250", "More memory than was asked for"), ("runtime=1", "More time than was asked for")],
)
def test_what_the_history_says_of_a_job_over_its_limits_is_told(
    accounted: Cluster, finished: Path, tmp_path: Path, asked: str, heading: str
) -> None:
    root = tmp_path / "study"
    key = prepare(finished, root, per_node=2)
    config = root / "config.yaml"
    config.write_text(config.read_text().replace("retries: 2", "retries: 0"))
    process = accounted.snakemake(root, "--set-resources", f"ipt:{asked}", "--", f"artifacts/ipt/{key}/manifest.json")
    assert process.wait(PATIENCE) == 1, (root / "snakemake.log").read_text()
    said = (root / "snakemake.log").read_text()
    (log,) = (root / "logs/slurm").rglob("*.log")
    assert find_unsaid(heading, said + log.read_text(), block=1) == []
