"""Dry runs: a cluster is asked for as many jobs as one machine, studies share what is equal, the rules are clean."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import REPOSITORY, copy_checkout, pretend_finished, run_python

from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node

MICRO2 = """\
extends: micro.yaml
title: Micro study, one variant more
variants:
  mostly raw 生:
    instruction: 1/8
"""
BELOW_SFT = ("generate", "score", "judge", "scores")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy with two studies: the second extends the first by a variant."""
    root = copy_checkout(tmp_path / "working folder 作業")
    (root / "studies/micro2.yaml").write_text(MICRO2)
    return root


def dry_run(root: Path, profile: str, *arguments: str, code: int = 0) -> str:
    """Run `snakemake --profile NAME -n all` with the code of `root`; return all it says."""
    done = run_python(root, "-m", "snakemake", "--profile", profile, "-n", "all", *arguments)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    return said


def count_jobs(said: str) -> dict[str, int]:
    """Read Snakemake's table of jobs by rule, with the total."""
    table = said.partition("Job stats:\n")[2].partition("\n\n")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def list_outputs(said: str) -> list[str]:
    return re.findall(r"^ {4,}output: (artifacts/\S+)/manifest\.json", said, re.M)


def count_expected(nodes: list[Node]) -> dict[str, int]:
    """One job an artifact, or one a model where the stage is grouped, and `all`."""
    groups: dict[str, set[str]] = {}
    for node in nodes:
        groups.setdefault(node.stage, set()).add(node.group)
    counts = {stage: len(members) for stage, members in groups.items()}
    return {**counts, "all": 1, "total": sum(counts.values()) + 1}


def test_a_cluster_is_asked_for_as_many_jobs_as_one_machine(root: Path) -> None:
    on_slurm, here = dry_run(root, "slurm"), dry_run(root, "local")
    assert "Using profiles slurm" in on_slurm
    assert count_jobs(on_slurm) == count_jobs(here)
    assert count_jobs(here) == count_expected(list(build_plan(root, ["micro"]).plan.nodes.values()))
    assert sorted(list_outputs(on_slurm)) == sorted(list_outputs(here))
    assert not (root / "artifacts").exists()
    assert len(list((root / "work/plans").iterdir())) == 1
    pretend_finished(root)
    for profile in ("slurm", "local"):
        assert "Nothing to be done" in dry_run(root, profile)


SIZED = """\
  cluster: {cpu_partition: cpu}
  sizes:
  - up_to_parameters: 1e12
    stages:
      ipt: {memory_mib: 7000, runtime_minutes: 33, gpus: 8, launch: {nodes: 2, processes_per_node: 8}}
      sft: {gpus: 2, launch: {processes_per_node: 2}}
      generate: {gpus: 1}
"""


def read_resources(said: str) -> dict[str, dict[str, str]]:
    """Read what a dry run says the first job of each rule asks for."""
    found: dict[str, dict[str, str]] = {}
    for block in re.split(r"\n(?= *rule )", said):
        asked = re.search(r"^ {4,}resources: (.+)$", block, re.M)
        threads = re.search(r"^ {4,}threads: (\d+)$", block, re.M)
        if asked:
            words = dict(part.split("=", 1) for part in asked[1].split(", "))
            found.setdefault(block.split()[1].rstrip(":"), {**words, "threads": threads[1] if threads else "1"})
    return {rule: words for rule, words in found.items() if rule != "all"}


def test_jobs_ask_for_what_the_table_of_sizes_says_and_a_clusters_own_settings_win(root: Path) -> None:
    with (root / "config.yaml").open("a") as file:
        file.write(SIZED)
    asked = read_resources(dry_run(root, "slurm", "--default-resources", "slurm_partition=main"))
    spread = {"mem_mb": "7000", "runtime": "33", "nodes": "2", "tasks": "2", "mpi": "srun", "gres": "gpu:8"}
    assert {name: asked["ipt"].get(name) for name in spread} == spread
    assert (asked["sft"]["gpu"], asked["sft"]["nodes"], asked["generate"]["gpu"]) == ("2", "1", "1")
    partitions = {rule: words["slurm_partition"] for rule, words in asked.items()}
    assert {rule for rule, name in partitions.items() if name == "main"} == {"ipt", "sft", "generate"}
    assert {name for rule, name in partitions.items() if rule not in ("ipt", "sft", "generate")} == {"cpu"}
    profile = root / "profiles/slurm/config.yaml"
    own = "default-resources: [slurm_account=ours]\nset-resources: {ipt: {mem_mb: 9000, slurm_partition: big}}\n"
    profile.write_text(profile.read_text() + own + "set-threads: {ipt: 5}\n")
    # without --cores a dry run shows one thread for each job, whatever is submitted
    asked = read_resources(dry_run(root, "slurm", "--cores", "64"))
    assert {name: asked["ipt"][name] for name in ("mem_mb", "slurm_partition", "slurm_account", "threads")} == {
        "mem_mb": "9000",
        "slurm_partition": "big",
        "slurm_account": "ours",
        "threads": "5",
    }
    assert asked["ipt"]["runtime"] == "33"
    assert asked["score"]["slurm_account"] == "ours"


@pytest.mark.parametrize("name", ["slurm", "local"])
def test_a_profile_is_found_by_its_bare_name(name: str) -> None:
    link = REPOSITORY / name
    assert link.is_symlink()
    assert link.readlink() == Path("profiles", name)
    assert (link / "config.yaml").is_file()


def test_two_studies_are_planned_together_and_what_they_share_once(root: Path) -> None:
    plan = build_plan(root, ["micro", "micro2"]).plan
    said = dry_run(root, "slurm", "--config", "study=micro,micro2")
    jobs = count_jobs(said)
    assert jobs == count_expected(list(plan.nodes.values()))
    assert (jobs["pretrain"], jobs["ipt"], jobs["sft"], jobs["aggregate"], jobs["report"]) == (1, 3, 6, 2, 2)
    outputs = list_outputs(said)
    assert len(outputs) == len(set(outputs)) == jobs["total"] - 1


def test_where_one_study_is_finished_the_other_makes_its_own_part_alone(root: Path) -> None:
    first = set(build_plan(root, ["micro"]).plan.nodes)
    second = build_plan(root, ["micro2"]).plan
    pretend_finished(root)
    said = dry_run(root, "local", "--config", "study=micro,micro2")
    own = [node for node in second.nodes.values() if node.key not in first]
    assert count_jobs(said) == count_expected(own)
    # its categories are natural, so every part of the labelled source is drawn from, and counted
    labelled = {"filter", "tokenize", "pack", "counts"}
    trained = {"mixture", "ipt", "average", "sft"}
    assert {node.stage for node in own} == {*labelled, *trained, *BELOW_SFT, "aggregate", "report"}
    assert "Nothing to be done" in dry_run(root, "local")


def test_the_order_of_studies_and_a_name_given_twice_change_no_job(root: Path) -> None:
    said = [dry_run(root, "local", "--config", f"study={names}") for names in ("micro,micro2", "micro2,micro,micro2")]
    assert sorted(list_outputs(said[0])) == sorted(list_outputs(said[1]))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (["study=micro", "sft_seed=3"], "sft_seed: --config takes only `study=NAME`; other settings stand in"),
        (["studies=micro"], "studies: --config takes only `study=NAME`; did you mean 'study'?"),
        (["study=micro,mirco2"], "studies/mirco2.yaml: no such study; did you mean 'micro2'? (studies: micro, micro2)"),
    ],
)
def test_what_config_cannot_mean_exits_2_without_a_job_or_a_traceback(root: Path, config: list[str], told: str) -> None:
    said = dry_run(root, "slurm", "--config", *config, code=2)
    assert f"mixlab: {told}" in said
    assert "Traceback" not in said
    assert "Job stats" not in said
    assert not (root / "work").exists()


def test_snakemakes_lint_has_nothing_to_say(root: Path) -> None:
    done = run_python(root, "-m", "snakemake", "--lint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Congratulations, your workflow is in a good condition!" in done.stderr
    assert done.stdout == ""


def test_the_rules_are_formatted() -> None:
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "rules"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
