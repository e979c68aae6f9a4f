"""Whose plan counts: Snakemake's main process plans and announces, its jobs are given what was submitted."""

from pathlib import Path

import pytest
from golden import REPOSITORY

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.workflow import PLAN_VARIABLE, open_workflow

CONFIG = "study: micro\nmachine:\n  data_roots: {micro: absent}\n  stages: {ipt: {threads: 2}}\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, the current one as it is for Snakemake and its jobs."""
    root = tmp_path / "working folder 作業"
    (root / "studies").mkdir(parents=True)
    for name in ("sources.lock", "studies/micro.yaml"):
        (root / name).write_text((REPOSITORY / name).read_text())
    (root / "studies/other.yaml").write_text("extends: micro.yaml\nseeds: {sft_seed: [3]}\n")
    (root / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(root)
    return root


def test_the_main_process_writes_the_plan_once_and_announces_it(root: Path) -> None:
    environment: dict[str, str] = {}
    flow = open_workflow(root, {}, True, environment)
    assert flow.plan_file.parent == Path("work/plans")
    assert environment == {PLAN_VARIABLE: str(flow.plan_file)}
    assert open_workflow(root, {}, True, {}).plan_file == flow.plan_file
    assert [path.name for path in (root / "work/plans").iterdir()] == [flow.plan_file.name]
    assert list(flow.plan.nodes) == list(build_plan(root).plan.nodes)


def test_a_job_gets_the_submitted_plan_though_everything_was_edited_meanwhile(root: Path) -> None:
    environment: dict[str, str] = {}
    submitted = open_workflow(root, {"study": "other"}, True, environment)
    (root / "config.yaml").write_text(CONFIG.replace("threads: 2", "threads: 7").replace("study: micro", "study: no"))
    (root / "studies/other.yaml").write_text("title: [not a study\n")
    (root / "sources.lock").unlink()
    job = open_workflow(root, {"study": "other"}, False, environment)
    assert job.plan_file == submitted.plan_file
    assert list(job.plan.nodes) == list(submitted.plan.nodes)
    assert job.targets == submitted.targets
    assert job.threads("ipt") == 2
    assert environment == {PLAN_VARIABLE: str(submitted.plan_file)}


def test_a_job_sees_what_is_finished_now(root: Path) -> None:
    environment: dict[str, str] = {}
    submitted = open_workflow(root, {}, True, environment)
    key = submitted.plan.by_stage("source")[0].key
    manifest = root / "artifacts/source" / key / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    assert key in submitted.demand.run
    assert key not in open_workflow(root, {}, False, environment).demand.run


def test_a_run_within_a_run_plans_for_itself(root: Path) -> None:
    environment: dict[str, str] = {}
    first = open_workflow(root, {}, True, environment)
    second = open_workflow(root, {"study": "other"}, True, environment)
    assert second.plan_file != first.plan_file
    assert environment == {PLAN_VARIABLE: str(second.plan_file)}


def test_a_job_of_nobody_plans_for_itself(root: Path) -> None:
    assert list(open_workflow(root, {}, False, {}).plan.nodes) == list(build_plan(root).plan.nodes)


def test_several_studies_are_planned_together_and_what_they_share_is_one_artifact(root: Path) -> None:
    both = open_workflow(root, {"study": "micro, other,micro"}, True, {})
    alone = {name: set(build_plan(root, [name]).plan.nodes) for name in ("micro", "other")}
    assert list(both.plan.targets) == ["micro", "other"]
    assert len(set(both.targets)) == 2
    assert set(both.plan.nodes) == alone["micro"] | alone["other"]
    shared = {key for key in both.plan.nodes if key in alone["micro"] & alone["other"]}
    runs = both.plan.by_stage("ipt")
    assert {node.key for node in runs} <= shared
    assert all([label.split("/")[0] for label in node.labels] == ["micro", "other"] for node in runs)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("studdy", "studdy: --config takes only `study=NAME`; did you mean 'study'?; other settings stand in"),
        ("ipt_seed", "ipt_seed: --config takes only `study=NAME`; other settings stand in config.yaml and studies/"),
    ],
)
def test_another_key_of_config_is_refused_and_nothing_is_written(root: Path, key: str, told: str) -> None:
    environment: dict[str, str] = {}
    with pytest.raises(ConfigError) as caught:
        open_workflow(root, {"study": "micro", key: "1"}, True, environment)
    assert told in str(caught.value)
    assert environment == {}
    assert not (root / "work").exists()


def test_a_study_that_is_not_there_is_told_with_its_nearest(root: Path) -> None:
    with pytest.raises(ConfigError, match="no such study; did you mean 'other'"):
        open_workflow(root, {"study": "othr"}, True, {})
