"""A study from nothing to its table by `snakemake --profile slurm all`, through all that may happen to it.

ipt on 2 nodes x 2 ranks; a node dies during it, Snakemake is killed after it, its orphans are cancelled, a restart
completes.
"""

import json
import os
import re
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from checkouts import REPOSITORY, SHIPPED, copy_checkout
from runs import wait_for
from slurm_lab import SETTINGS, Cluster, list_submitted

from mixlab.plan.build import build_plan

pytestmark = [pytest.mark.long, pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(7200)]

PATIENCE = 3600


def prepare_study(root: Path, study: str) -> None:
    copy_checkout(root, SHIPPED)
    (root / "studies").mkdir(exist_ok=True)
    shutil.copy2(REPOSITORY / f"studies/{study}.yaml", root / "studies")
    config = root / "config.yaml"
    text = config.read_text().replace("study: micro", f"study: {study}")
    config.write_text(text + SETTINGS.format(per_node=2) + "  cluster: {cpu_partition: cpu}\n")


@pytest.mark.parametrize("study", ["micro", "demo"])
def test_a_study_is_finished_through_a_dead_node_and_a_killed_snakemake(
    cluster: Cluster, tmp_path: Path, study: str
) -> None:
    root = tmp_path / "study"
    prepare_study(root, study)
    plan = build_plan(root).plan
    process = cluster.snakemake(root, "all")

    def is_submitted(rule: str) -> bool:
        return f"/logs/slurm/rule_{rule}/" in (root / "snakemake.log").read_text() or process.poll() is not None

    def find_saved() -> list[Path]:
        return list((root / "work/ipt").glob("*/resume/state-*[0-9]"))

    wait_for(lambda: is_submitted("ipt"), PATIENCE)
    (root / "slow").touch()  # each save of a state takes long now: the node dies in the middle of a training
    wait_for(lambda: bool(find_saved()) or process.poll() is not None, PATIENCE)
    cluster.slurm.kill_node("n2")
    killed = {path.parents[1].name for path in find_saved()}
    cluster.slurm.start_node("n2")
    (root / "slow").unlink()
    wait_for(lambda: is_submitted("sft"), PATIENCE)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first = list_submitted(root)
    orphans = json.loads(cluster.mixlab(root, "cluster", "orphans", "--json").stdout)["orphans"]
    found = {one["job"] for one in orphans}
    # the last one may have been submitted without having been said any more
    assert len(found - set(first)) <= 1
    assert found & set(first)
    done = cluster.mixlab(root, "cluster", "orphans", "--cancel", "--yes")
    assert done.returncode == 0, done.stderr
    assert cluster.mixlab(root, "unlock").returncode == 0
    (root / "snakemake.log").rename(root / "first.log")

    process = cluster.snakemake(root, "all")
    assert process.wait(PATIENCE) == 0, (root / "snakemake.log").read_text()
    ranks = Counter[str]()
    for node in plan.by_stage("ipt"):
        for path in (root / "provenance/ipt" / node.key).glob("*.json"):
            ranks[json.loads(path.read_text())["facts"]["ranks"]] += 1
        assert "rank 0 of 4 on cpu" in (root / f"logs/ipt/{node.key}.log").read_text()
    assert ranks == {"4": len(plan.by_stage("ipt"))}
    assert killed
    logs = [(root / f"logs/ipt/{key}.log").read_text() for key in killed]
    assert any(re.search(r"resuming after step [1-9]", log) for log in logs), logs
    shown = cluster.mixlab(root, "show", study)
    assert (shown.returncode, "after SFT" in shown.stdout) == (0, True), shown.stderr
    submitted = len(first) + len(list_submitted(root))
    jobs = len({(node.stage, node.group) for node in plan.nodes.values()})
    print(f"{study}: {submitted} submissions, {len(plan.nodes)} artifacts, {jobs} jobs; {len(orphans)} orphans")
    assert submitted < jobs
    assert "Nothing to be done" in _dry_run(cluster, root)


def _dry_run(cluster: Cluster, root: Path) -> str:
    process = cluster.snakemake(root, "-n", "all")
    assert process.wait(300) == 0
    return (root / "snakemake.log").read_text()
