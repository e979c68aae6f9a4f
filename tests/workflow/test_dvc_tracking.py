"""What DVC keeps: pointers, clones, branches, `dvc repro` over artifacts that are there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from dvc_checkouts import (
    clone,
    commit,
    list_bytes,
    make_artifacts,
    make_repository,
    mixlab,
    plan_micro,
    run,
    snakemake,
)
from edits import REMAKING

from mixlab.artifacts import links
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.links import clear_links, find_links
from mixlab.plan.stages import STAGES

NOTHING = "Nothing to be done"


def test_after_tracking_a_finished_study_nobody_has_anything_to_do(lab: Path) -> None:
    root = lab / "first"
    assert "up to date" in run(root, "dvc", "status")
    assert "Running stage" not in run(root, "dvc", "repro")
    assert NOTHING in snakemake(root, "--dry-run", "all")
    assert run(root, "git", "status", "--short") == ""


def test_a_second_clone_pulls_everything_and_plain_pulls_on_branches_delete_nothing(lab: Path) -> None:
    second = clone(lab / "first", lab / "二つ目 second")
    shutil.rmtree(second / "tests/data")
    run(second, "dvc", "pull")
    assert NOTHING in snakemake(second, "--dry-run", "all")
    assert "up to date" in run(second, "dvc", "status")
    there = list_bytes(second / "artifacts")
    run(second, "git", "switch", "--quiet", "--create", "without-ipt")
    shutil.rmtree(second / "tracked/ipt")
    commit(second, "no pointers to ipt")
    run(second, "dvc", "pull")
    assert list_bytes(second / "artifacts") == there
    run(second, "git", "switch", "--quiet", "-")
    run(second, "dvc", "pull")
    assert list_bytes(second / "artifacts") == there
    assert NOTHING in snakemake(second, "--dry-run", "all")


def test_without_a_pull_only_what_is_wanted_is_fetched(lab: Path) -> None:
    second = clone(lab / "first", lab / "third")
    said = snakemake(second, "all")
    (made,) = second.glob("artifacts/*/*")
    assert made.parent.name == "report"
    assert "Restored 1 artifact" in said
    assert "rule fetch" in said
    assert run(second, "git", "status", "--short") == ""


def test_equal_artifacts_have_equal_pointers_whoever_makes_them(lab: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path)
    run(other, "git", "config", "user.name", "Somebody Else")
    made = make_artifacts(other, plan_micro(other).by_stage("ipt"))
    mixlab(other, "track", "ipt")
    assert made
    for stage, key in made:
        text = (other / f"tracked/{stage}/{key}.dvc").read_text()
        assert text == (lab / f"first/tracked/{stage}/{key}.dvc").read_text()
        assert text.startswith("wdir: ../../artifacts/ipt\n")


def test_tracking_on_a_branch_saves_artifacts_from_a_plain_pull_on_another(root: Path) -> None:
    run(root, "git", "switch", "--quiet", "--create", "edited")
    REMAKING[0].apply(root)
    made = make_artifacts(root, plan_micro(root).nodes.values())
    mixlab(root, "track", "--push")
    commit(root, "edited")
    there = list_bytes(root / "artifacts")
    for branch in ("main", "edited"):
        run(root, "git", "switch", "--quiet", branch)
        run(root, "dvc", "pull")
        assert list_bytes(root / "artifacts") == there
    assert {stage for stage, _ in made} >= {"mixture", "ipt", "report"}


def test_repro_tracks_while_it_runs_and_an_edit_undone_runs_nothing(root: Path) -> None:
    study = root / "studies/micro.yaml"
    before = study.read_text()
    REMAKING[0].apply(root)
    made = make_artifacts(root, plan_micro(root).nodes.values())
    said = run(root, "dvc", "repro")
    assert all((root / f"tracked/{stage}/{key}.dvc").is_file() for stage, key in made)
    assert f"source: {len(made)} new artifacts" in said or f"mixture: {len(made)} new artifacts" in said
    assert "tokenizer: " not in said
    study.write_text(before)
    assert "new artifact" in run(root, "dvc", "repro")
    assert run(root, "git", "status", "--short", "--", "plans", "receipts", "dvc.lock") == ""


def test_whitespace_runs_no_stage_but_plan(root: Path) -> None:
    for name in ("studies/micro.yaml", "src/mixlab/plan/expand.py", "config.yaml"):
        with (root / name).open("a") as file:
            file.write("\n# a remark\n")
    said = run(root, "dvc", "repro")
    assert [line for line in said.splitlines() if line.startswith("Running")] == ["Running stage 'plan':"]


def test_dvc_yaml_has_a_stage_for_each_stage_in_order(lab: Path) -> None:
    stages = yaml.safe_load((lab / "first/dvc.yaml").read_text())["stages"]
    assert list(stages) == ["plan", *STAGES]
    for before, name in zip(list(STAGES), list(STAGES)[1:], strict=False):
        assert f"receipts/${{study}}/{before}.txt" in stages[name]["deps"]


def test_the_links_that_are_cleared_are_those_that_dvc_keeps(root: Path) -> None:
    from dvc.repo import Repo

    shutil.rmtree(next((root / "artifacts/ipt").iterdir()))
    run(root, "dvc", "checkout")
    with Repo(str(root)) as repo:
        assert find_links(root) == Path(repo.state.links.directory) / "cache.db"
        assert len(repo.state.links) > 0
        clear_links(root)
        assert len(repo.state.links) == 0


def test_a_note_of_links_that_a_kill_left_without_its_table_has_none_and_a_torn_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "cache.db"
    note.write_bytes(b"")
    monkeypatch.setattr(links, "find_links", lambda root: note)
    clear_links(tmp_path)
    note.write_bytes(b"torn" * 1000)
    with pytest.raises(ArtifactError, match=r"cache\.db: file is not a database: .* remove "):
        clear_links(tmp_path)


def test_a_folder_without_dvc_has_no_links(tmp_path: Path) -> None:
    assert find_links(tmp_path) is None
    clear_links(tmp_path)


def test_after_a_run_tracking_is_silent_where_it_is_off_and_one_line_where_it_cannot_be(
    root: Path, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (plan,) = root.glob("work/plans/*.jsonl")
    (report,) = (root / "tracked/report").iterdir()
    report.unlink()
    monkeypatch.setenv("MIXLAB_TRACK", "off")
    assert invoke("track", "--after-run", str(plan)).output == ""
    assert not report.exists()
    monkeypatch.delenv("MIXLAB_TRACK")
    (root / ".git").rename(root / "git")
    assert invoke("track", "--after-run", str(plan)).output.count("\n") == 1
    assert not report.exists()
    (root / "git").rename(root / ".git")
    assert "Tracked 1 artifact" in invoke("track", "--after-run", str(plan)).output
    assert report.exists()


def test_tracking_nothing_new_does_not_load_dvc(root: Path) -> None:
    script = "import sys; from mixlab.cli import main\ntry: main(['track'])\nfinally: print('dvc.repo' in sys.modules)"
    said = run(root, "python", "-c", script)
    assert said.splitlines() == ["Nothing new to track.", "False"]


def test_links_for_people_carry_labels_and_follow_a_renaming(
    root: Path, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (ipt, *_) = plan_micro(root).by_stage("ipt")
    heavy = "named/micro/math heavy 数学/mixture_seed 1/ipt_seed 1"
    assert (root / heavy / "average/average").resolve().parent == root / "artifacts/average"
    assert (root / heavy / "ipt").resolve() in (root / "artifacts/ipt").iterdir()
    assert not (root / heavy / "ipt").readlink().is_absolute()
    study = root / "studies/micro.yaml"
    study.write_text(study.read_text().replace("math heavy 数学", "数学 多め"))
    invoke("track")
    assert not (root / "named/micro/math heavy 数学").exists()
    assert (root / "named/micro/数学 多め/mixture_seed 1/ipt_seed 1/ipt").resolve().is_dir()
    results = list_bytes(root / "results/micro")
    assert json.loads(results.pop("metrics.json")) == {
        "effects": {},
        "scores": {"even": {"after_sft": {"demo": {"accuracy": 0.5}}}},
    }
    assert results == {
        "means.csv": b"variant,benchmark,mean\neven,demo,0.5\n",
        "scores.csv": b"benchmark,score\ndemo,0.5\n",
    }
    assert ipt.key in {path.name for path in (root / "artifacts/ipt").iterdir()}


def test_derived_files_that_both_branches_rewrote_follow_what_was_merged(root: Path) -> None:
    run(root, "git", "switch", "--quiet", "--create", "seeds")
    edit_study(root, "sft_seed: [1, 2]", "sft_seed: [1, 2, 3]")
    run(root, "git", "switch", "--quiet", "main")
    edit_study(root, "{math: 3, reasoning: 1}", "{math: 4, reasoning: 1}")

    assert "CONFLICT" in run(root, "git", "merge", "--no-edit", "seeds", code=1)
    said = mixlab(root, "merge")
    assert "plans/micro, receipts/micro, results/micro, dvc.lock" in said
    tables = ["results/micro/scores.csv", "results/micro/means.csv", "results/micro/metrics.json"]
    assert [line.partition(":")[0] for line in said.splitlines() if ": removed, it was made from" in line] == tables
    assert not list(root.glob("results/micro/*"))
    assert "Nothing to merge" in mixlab(root, "merge"), "what did not change was not rewritten"
    run(root, "git", "commit", "--quiet", "--no-edit")
    by_hand = run(root, "git", "rev-parse", "HEAD^{tree}")

    run(root, "git", "reset", "--quiet", "--hard", "HEAD^")
    mixlab(root, "merge", "--install")
    run(root, "git", "merge", "--quiet", "--no-edit", "seeds")
    assert run(root, "git", "rev-parse", "HEAD^{tree}") == by_hand
    assert run(root, "git", "status", "--short") == ""

    plan = plan_micro(root)
    keys = (root / "plans/micro/sft.txt").read_text().split()
    assert keys == sorted(node.key for node in plan.by_stage("sft"))
    said = json.loads(run(root, "dvc", "status", "--json"))
    unfinished = {"sft", "generate", "score", "judge", "scores", "aggregate", "report"}
    assert unfinished <= set(said) <= unfinished | {"judge_pairs"}


def edit_study(root: Path, old: str, new: str) -> None:
    """Edit the study, pretend to run what that asks for, track and commit: derived files change with it."""
    study = root / "studies/micro.yaml"
    text = study.read_text()
    assert old in text
    study.write_text(text.replace(old, new))
    make_artifacts(root, plan_micro(root).nodes.values())
    mixlab(root, "track")
    commit(root, new)


def test_a_study_that_git_could_not_merge_is_the_users_to_mend_first(root: Path) -> None:
    study = root / "studies/micro.yaml"
    for branch, new in (("four", "{math: 4, reasoning: 1}"), ("five", "{math: 5, reasoning: 1}")):
        run(root, "git", "switch", "--quiet", "main")
        run(root, "git", "switch", "--quiet", "--create", branch)
        study.write_text(study.read_text().replace("{math: 3, reasoning: 1}", new))
        commit(root, branch)
    run(root, "git", "merge", "--no-edit", "four", code=1)
    before = run(root, "git", "status", "--short")
    assert "studies/micro.yaml: git could not merge it" in mixlab(root, "merge", code=2)
    assert run(root, "git", "status", "--short") == before
