"""`mixlab explain --why`: why an artifact would run, against the finished one most like it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mixlab.artifacts.recompute import write_recompute
from mixlab.artifacts.store import Store
from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan

Invoke = Callable[..., Result]
STUDY = Path("studies/micro.yaml")
EVEN = "micro/even/mixture_seed 1"
HEAVY = "math heavy 数学/mixture_seed 1/ipt_seed 1"
BELOW = ("sft", "generate", "score", "judge", "scores", "aggregate", "report")
STRAY = ("report", "f" * 16)
"""What is tracked and no study asks for."""


def edit(old: str, new: str) -> None:
    text = STUDY.read_text()
    assert old in text
    STUDY.write_text(text.replace(old, new, 1))


def make(root: Path, node: Node) -> None:
    """Let an artifact be here, with the manifest that its stage would have written."""
    path = Store(root).manifest_path(*node.name)
    path.parent.mkdir(parents=True)
    parents = {role: list(keys) for role, keys in node.parents.items()}
    card = {"stage": node.stage, "key": node.key, "spec": to_plain(node.spec), "parents": parents, "files": []}
    path.write_text(json.dumps(card))
    record = root / "provenance" / node.stage / node.key / "a.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"label": node.label, "finished": "2026-11-20T10:00:00+00:00"}))


@pytest.fixture
def made(micro: Path) -> Plan:
    """The micro study with all of it here."""
    plan = build_plan(micro).plan
    for node in plan.nodes.values():
        make(micro, node)
    return plan


def test_what_is_finished_has_no_reason_to_run(made: Plan, micro: Path, invoke: Invoke) -> None:
    (ipt, *_) = made.by_stage("ipt")
    assert invoke("explain", "--why", ipt.key).stdout.splitlines()[1] == "nothing: complete here"
    manifest = Store(micro).manifest_path(*ipt.name)
    pointer = Store(micro).pointer(*ipt.name)
    manifest.unlink()
    told = "nothing: not here, but nothing needs it: all that is made from it is finished"
    assert invoke("explain", "--why", f"artifacts/ipt/{ipt.key}/manifest.json").stdout.splitlines()[1] == told
    pointer.parent.mkdir(parents=True)
    pointer.write_text("outs: []\n")
    said = invoke("explain", "--why", f"tracked/ipt/{ipt.key}.dvc").stdout
    assert said.splitlines()[1] == "nothing: tracked; nothing here needs it"


def test_what_is_discarded_runs_only_where_something_below_it_does(made: Plan, micro: Path, invoke: Invoke) -> None:
    (ipt, *_) = made.by_stage("ipt")
    place = Store(micro).tombstone(*ipt.name)
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"key": ipt.key, "reason": "averaged"}))
    Store(micro).manifest_path(*ipt.name).unlink()
    told = "nothing: discarded, and nothing needs it"
    assert invoke("explain", "--why", f"discarded/ipt/{ipt.key}.json").stdout.splitlines()[1] == told
    (average,) = (made.nodes[key] for key in made.children()[ipt.key] if made.nodes[key].stage == "average")
    for node in made.nodes.values():
        if node.key in {average.key, *made.children()[average.key]} or node.stage in BELOW:
            Store(micro).manifest_path(*node.name).unlink(missing_ok=True)
    said = invoke("explain", "--why", ipt.key).stdout.splitlines()[1]
    assert said.startswith(f"would run: discarded, and has to come back; average '{average.label}' needs it")


def test_a_folder_without_studies_says_so(tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no config.yaml in" in invoke("explain", "--why", "abcd").stderr
    (tmp_path / "config.yaml").write_text("study: demo\n")
    result = invoke("explain", "--why", "abcd")
    assert (result.exit_code, "no study here asks for any artifact" in result.stderr) == (2, True)


def test_a_changed_ratio_is_found_from_far_below_one_step_a_line(made: Plan, invoke: Invoke) -> None:
    edit("math: 3, reasoning: 1", "math: 4, reasoning: 1")
    label = "micro/math heavy 数学/mixture_seed 1/ipt_seed 1/sft_seed 1/demo_math_en/generation_seed 1/score"
    lines = invoke("explain", "--why", label).stdout.splitlines()
    assert lines[1].startswith("would run: not here, not tracked, not discarded; scores '")
    assert [line.split()[1] for line in lines[2:]] == ["score", "generate", "sft", "average", "ipt", "mixture"]
    assert lines[2].endswith(", complete), but another artifact as responses")
    assert lines[-1].endswith(", complete), but category.math 3/4 -> 4/5; category.reasoning 1/4 -> 1/5")
    (old,) = (node for node in made.by_stage("mixture") if node.label.startswith("micro/math heavy"))
    assert f"'{old.label}' ({old.key}, complete)" in lines[-1]


def test_a_new_variant_is_compared_with_the_one_most_like_it(made: Plan, invoke: Invoke) -> None:
    new = "  more maths:\n    instruction: 1/2\n    category: {weights: {math: 5, reasoning: 1}}\n"
    edit("\nipt:\n", f"{new}\nipt:\n")
    answer = json.loads(invoke("explain", "--why", "more maths/mixture_seed 1/ipt_seed 1/ipt", "--json").stdout)
    assert answer["would_run"]
    assert [(step["stage"], len(step["changes"])) for step in answer["steps"]] == [("ipt", 0), ("mixture", 2)]
    labels = {node.label for node in made.by_stage("ipt")}
    assert answer["steps"][0]["relative"]["label"] in labels
    changed = {one["path"]: one["new"] for one in answer["steps"][1]["changes"]}
    assert changed == {"category.math": "5/6", "category.reasoning": "1/6"}


def test_two_causes_are_both_told_and_each_once(made: Plan, invoke: Invoke) -> None:
    edit("vocab_size: 400", "vocab_size: 420")
    edit("average: {last: 4}", "average: {last: 3}")
    said = invoke("explain", "--why", f"{EVEN}/ipt_seed 1/sft_seed 1/sft").stdout
    assert said.count("vocab_size 400 -> 420") == 1
    assert said.count("last 4 -> 3") == 1


def test_a_version_that_was_raised_and_a_missing_file_are_named(made: Plan, micro: Path, invoke: Invoke) -> None:
    (report,) = made.by_stage("report")
    path = Store(micro).manifest_path(*report.name)
    card = json.loads(path.read_text())
    path.unlink()
    said = invoke("explain", "--why", report.key).stdout
    place = f"artifacts/report/{report.key}"
    assert f"would run: {place} has no manifest.json, so it is no whole artifact; study micro asks for it" in said
    assert "no finished artifact of stage report is known" in said
    before = micro / "artifacts/report/0123456789abcdef/manifest.json"
    before.parent.mkdir()
    card |= {"key": "0123456789abcdef", "spec": {**card["spec"], "version": card["spec"]["version"] - 1}}
    before.write_text(json.dumps(card))
    assert "as report" in (said := invoke("explain", "--why", report.key).stdout)
    assert f"version {card['spec']['version']} -> {card['spec']['version'] + 1}" in said


def commit() -> None:
    """Commit all that is here."""
    identity = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "the study")):
        subprocess.run(["git", *identity, *command], check=True, capture_output=True)


def track(root: Path) -> Plan:
    """Let all of the micro study be tracked and committed, and nothing of it be here."""
    plan = build_plan(root).plan
    for name in [*(node.name for node in plan.nodes.values()), STRAY]:
        path = Store(root).pointer(*name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"outs:\n- md5: {'0' * 32}.dir\n  size: 1\n  nfiles: 1\n  path: {name[1]}\n")
    commit()
    return plan


def test_what_was_committed_and_tracked_is_a_relative_by_the_last_commits_study(micro: Path, invoke: Invoke) -> None:
    """A pointer says no spec; the study that asked for it does."""
    track(micro)
    edit("Micro study", "Small study")
    said = invoke("explain", "--why", "micro/report").stdout
    assert ", tracked), but title Micro study -> Small study" in said
    assert "not compared: 1 of this stage that are known by pointer alone, which says no spec" in said
    report = build_plan(micro).plan.by_stage("report")[0]
    path = Store(micro).pointer(*report.name)
    path.write_text("outs: []\n")
    write_recompute(Store(micro), [report.name])
    assert "tracked, but its data is lost (work/recompute.json)" in invoke("explain", "--why", report.key).stdout


def test_a_committed_edit_is_explained_as_it_was_before_the_commit(micro: Path, invoke: Invoke) -> None:
    """The last commit asks for other things than those that are tracked; the commit that brought them says them."""
    old = track(micro)
    (score,) = (node for node in old.by_stage("score") if node.label.startswith(f"micro/{HEAVY}/sft_seed 1/demo_math"))
    edit("math: 3, reasoning: 1", "math: 4, reasoning: 1")
    before = json.loads(invoke("explain", "--why", score.label, "--json").stdout)
    commit()
    after = json.loads(invoke("explain", "--why", score.label, "--json").stdout)
    assert before["steps"][0]["relative"] == {"key": score.key, "label": score.label, "state": "tracked"}
    assert after == before
    # a later commit that is not about studies changes nothing of it
    (micro / "notes.txt").write_text("a note")
    edit("Micro study", "Small study")
    commit()
    assert json.loads(invoke("explain", "--why", score.label, "--json").stdout) == before


@pytest.mark.parametrize("is_committed", [False, True])
def test_what_a_study_of_another_name_asked_for_is_a_relative(micro: Path, invoke: Invoke, is_committed: bool) -> None:
    old = track(micro)
    edit("math: 3, reasoning: 1", "math: 4, reasoning: 1")
    STUDY.rename("studies/renamed.yaml")
    config = micro / "config.yaml"
    config.write_text(config.read_text().replace("study: micro", "study: renamed"))
    if is_committed:
        commit()
    answer = json.loads(invoke("explain", "--why", f"{HEAVY}/ipt", "--json").stdout)
    (ipt,) = (node for node in old.by_stage("ipt") if node.label == f"micro/{HEAVY}/ipt")
    assert (answer["label"], answer["pointers"]) == (f"renamed/{HEAVY}/ipt", 0)
    assert answer["steps"][0]["relative"] == {"key": ipt.key, "label": ipt.label, "state": "tracked"}
    assert {one["path"]: one["new"] for one in answer["steps"][-1]["changes"]} == {
        "category.math": "4/5",
        "category.reasoning": "1/5",
    }


def test_only_the_newest_commits_are_planned_and_what_was_not_compared_is_told(
    micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(micro)
    for title in ("Study two", "Study three"):
        edit(STUDY.read_text().partition("title: ")[2].partition("\n")[0], title)
        (report,) = build_plan(micro).plan.by_stage("report")
        Store(micro).pointer(*report.name).write_text(Store(micro).pointer(*STRAY).read_text())
        commit()
    edit("Study three", "Study four")
    commit()
    said = invoke("explain", "--why", "micro/report").stdout
    assert "not compared: 1 of this stage" in said
    monkeypatch.setattr("mixlab.cli._kin.MOST_COMMITS", 1)
    said = invoke("explain", "--why", "micro/report").stdout
    assert ", tracked), but title Study three -> Study four" in said
    told = "not compared: 3 of this stage that are known by pointer alone, which says no spec"
    assert f"{told}; the one named above is the nearest among those compared" in said


def test_a_mistake_is_told(micro: Path, invoke: Invoke) -> None:
    result = invoke("explain", "--why", "micro/reprot")
    assert result.exit_code == 2
    assert "did you mean" in result.stderr


@pytest.mark.parametrize(
    "form", ["artifacts/ipt/{}", "./artifacts/ipt/{}/", "{root}/tracked/ipt/{}.dvc", "work/../artifacts/ipt/{}"]
)
def test_a_path_may_be_written_in_any_way(made: Plan, micro: Path, invoke: Invoke, form: str) -> None:
    (ipt, *_) = made.by_stage("ipt")
    place = form.format(ipt.key, root=micro)
    assert invoke("explain", place).stdout.startswith(f"ipt {ipt.key}: ")
    assert invoke("explain", "--why", place).stdout.splitlines()[1] == "nothing: complete here"


def test_an_absolute_path_may_go_through_a_link_to_the_checkout(made: Plan, micro: Path, invoke: Invoke) -> None:
    (ipt, *_) = made.by_stage("ipt")
    link = micro.parent / "link"
    link.symlink_to(micro)
    assert invoke("explain", f"{link}/artifacts/ipt/{ipt.key}").stdout.startswith(f"ipt {ipt.key}: ")
    elsewhere = invoke("explain", f"{micro.parent}/artifacts/ipt/{ipt.key}")
    assert (elsewhere.exit_code, "no artifact of a study has the key or label" in elsewhere.stderr) == (2, True)
