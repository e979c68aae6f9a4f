"""`mixlab diff`: what an edit would run and keep, against a revision or a folder."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mixlab.artifacts.store import Store

Invoke = Callable[..., Result]
STUDY = Path("studies/micro.yaml")


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def committed(micro: Path) -> Path:
    """The working folder as a git repository with one commit."""
    git("init", "--initial-branch", "main")
    git("add", "config.yaml", "studies", "sources.lock")
    git("commit", "--message", "the study")
    return micro


def edit(old: str, new: str) -> None:
    text = STUDY.read_text()
    assert old in text
    STUDY.write_text(text.replace(old, new))


def read_stages(result: Result) -> dict[str, dict[str, int]]:
    answer: dict[str, Any] = json.loads(result.stdout)
    return {row["stage"]: {name: row[name] for name in ("kept", "new", "gone", "run")} for row in answer["stages"]}


def test_an_edit_is_compared_with_the_last_commit(committed: Path, invoke: Invoke) -> None:
    assert "HEAD and . ask for the same" in invoke("diff").stdout
    edit("math: 3, reasoning: 1", "math: 4, reasoning: 1")
    stages = read_stages(invoke("diff", "--json"))
    assert stages["mixture"] == {"kept": 3, "new": 1, "gone": 1, "run": 4}
    assert stages["pack"] == {"kept": 6, "new": 0, "gone": 0, "run": 6}
    assert stages["report"] == {"kept": 0, "new": 1, "gone": 1, "run": 1}
    text = invoke("diff").stdout
    assert "mixture 'math heavy 数学/mixture_seed 1': category.math 3/4 -> 4/5; category.reasoning 1/4 -> 1/5" in text


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("sft_seed: [1, 2]", "sft_seed: [1, 2, 3]", ("sft", "sft_seed 1 -> 3")),
        ("average: {last: 4}", "average: {last: 3}", ("average", "last 4 -> 3")),
        (
            "judge_run: [1, 2]",
            "judge_run: [1, 2]\njudge: {rule: {same_number: 0.5}}",
            ("judge", "rule.same_number 0.8"),
        ),
        ("Micro study", "Small study", ("report", "title Micro study -> Small study")),
        (
            "sources: [raw_file, raw_ja]}",
            "sources: [raw_ja]}",
            ("tokenizer", "sources micro/source/raw_file -> nothing"),
        ),
    ],
)
def test_a_cause_names_the_field_that_changed(
    committed: Path, invoke: Invoke, old: str, new: str, cause: tuple[str, str]
) -> None:
    edit(old, new)
    lines = [line for line in invoke("diff").stdout.splitlines() if " -> " in line]
    assert len(lines) <= 2
    assert lines[0].startswith(f"{cause[0]} '")
    assert cause[1] in lines[0]


def test_two_edits_have_two_causes_though_one_lies_above_the_other(committed: Path, invoke: Invoke) -> None:
    edit("average: {last: 4}", "average: {last: 3}")
    edit("math: 3, reasoning: 1", "math: 4, reasoning: 1")
    causes = json.loads(invoke("diff", "--json").stdout)["causes"]
    assert sorted((cause["stage"], len(cause["keys"])) for cause in causes) == [
        ("average", 1),
        ("average", 1),
        ("mixture", 1),
    ]


def test_two_revisions_are_compared_with_the_studies_and_the_lock_of_each(committed: Path, invoke: Invoke) -> None:
    edit("average: {last: 4}", "average: {last: 3}")
    git("commit", "--all", "--message", "fewer snapshots")
    lock = json.loads(Path("sources.lock").read_text())
    text = Path("sources.lock").read_text()
    (file,) = (one for one in lock["sources"]["math_file"]["files"])
    Path("sources.lock").write_text(text.replace(file["digest"], "0" * 64))
    git("commit", "--all", "--message", "another file")
    edit("Micro study", "Small study")
    causes = {one["stage"] for one in json.loads(invoke("diff", "HEAD~2", "HEAD~1", "--json").stdout)["causes"]}
    assert causes == {"average"}
    answer = json.loads(invoke("diff", "HEAD~1", "HEAD", "--json").stdout)
    (cause,) = answer["causes"]
    (change,) = cause["changes"]
    assert (cause["stage"], change["new"]) == ("source", f"{'0' * 57}...")
    assert invoke("diff", "HEAD", "HEAD~0").stdout.startswith("HEAD and HEAD~0 ask for the same 85 artifacts.")


def test_folders_can_be_compared_and_a_study_that_one_lacks_is_all_new(
    committed: Path, invoke: Invoke, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(committed, other, symlinks=True)
    (other / STUDY).unlink()
    stages = read_stages(invoke("diff", str(other), ".", "--study", "micro", "--json"))
    assert sum(row["new"] for row in stages.values()) > 60
    assert sum(row["kept"] + row["gone"] for row in stages.values()) == 0


def test_a_renamed_study_is_no_new_one(committed: Path, invoke: Invoke) -> None:
    Path("studies/small.yaml").write_text(STUDY.read_text())
    config = Path("config.yaml")
    text = config.read_text()
    edit("Micro study", "Micro study, with more maths")
    # one that was added beside is new, and nothing is gone
    stages = read_stages(invoke("diff", "--study", "small", "--json"))
    assert {(row["kept"], row["gone"]) for row in stages.values()} == {(0, 0)}
    STUDY.rename("studies/large.yaml")
    config.write_text(text.replace("study: micro", "study: large"))
    told = invoke("diff").stdout
    assert told.startswith("studies: micro in HEAD, large in .\n")
    assert "report 'report': title Micro study -> Micro study, with more maths" in told
    answer = json.loads(invoke("diff", "--study", "large", "--json").stdout)
    assert (answer["old_studies"], answer["studies"]) == (["micro"], ["large"])
    assert {one["stage"] for one in answer["added"]} == {one["stage"] for one in answer["gone"]} == {"report"}
    assert [one["relative"] for one in answer["causes"]] == ["micro/report"]


def test_a_renamed_study_that_config_does_not_name_is_no_new_one(committed: Path, invoke: Invoke) -> None:
    text, config = STUDY.read_text(), Path("config.yaml")
    Path("studies/small.yaml").write_text(text)
    config.write_text(config.read_text().replace("study: micro", "study: small"))
    git("add", "config.yaml", "studies")
    git("commit", "--message", "another study")
    STUDY.unlink()
    Path("studies/paper").mkdir()
    Path("studies/paper/even.yaml").write_text(text.replace("Micro study", "Even"))
    for named in ("paper/even", "micro"):
        told = invoke("diff", "--study", named).stdout
        assert told.startswith("studies: micro in HEAD, paper/even in .\n")
        assert "report 'report': title Micro study -> Even" in told
    unlike = "".join(f"{line} # another\n" for line in text.splitlines())
    Path("studies/paper/even.yaml").write_text(unlike)
    stages = read_stages(invoke("diff", "--study", "micro", "--json"))
    assert sum(row["new"] for row in stages.values()) == 0


def test_what_is_here_already_would_not_run(committed: Path, invoke: Invoke) -> None:
    edit("Micro study", "Small study")
    (new,) = json.loads(invoke("diff", "--json").stdout)["added"]
    path = Store(committed).manifest_path("report", new["key"])
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert invoke("diff").stdout.splitlines()[-1] == "0 new artifacts would run."


def test_mistakes_name_the_revision_they_are_in(committed: Path, invoke: Invoke) -> None:
    edit("average: {last: 4}", "average: {last: 5}")
    git("commit", "--all", "--message", "a mistake")
    result = invoke("diff", "HEAD", "HEAD~1")
    assert result.exit_code == 2
    assert "HEAD:studies/micro.yaml:100: average.last" in result.stderr
    assert "'nowhere' is neither a git revision nor a folder" in invoke("diff", "nowhere").stderr


@pytest.mark.parametrize("root", ["", ", root: shelf"])
def test_an_edit_of_a_study_with_published_judge_prompts_is_compared(
    committed: Path, invoke: Invoke, root: str
) -> None:
    path = Path("studies/prompts/single.jsonl") if not root else Path("shelf/single.jsonl")
    path.parent.mkdir()
    card = {"type": "single", "output_format": "[[rating]]", "system_prompt": "S"}
    texts = {"single-v1": "{question} {answer}", "single-math-v1": "{question} {ref_answer_1} {answer}"}
    cards = [{**card, "name": name, "prompt_template": text} for name, text in texts.items()]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in cards))
    config = Path("config.yaml")
    config.write_text(config.read_text().replace("data_roots:", "data_roots:\n    shelf: shelf"))
    prompts = f"{{published: {path if not root else path.name}{root}, format: fastchat, turns: 1}}"
    judge = f"judge: {{engine: openai, model: tiny, endpoint: local, prompts: {{en: {prompts}}}}}"
    edit("judge_run: [1, 2]", f"judge_run: [1, 2]\n{judge}")
    git("add", "config.yaml", "studies")
    git("commit", "--message", "published prompts")
    assert "HEAD and . ask for the same" in invoke("diff").stdout
    edit("model: tiny", "model: small")
    stages = read_stages(invoke("diff", "--json"))
    assert stages["judge"]["kept"] == 0 < stages["judge"]["new"]
    assert stages["generate"]["new"] == 0


TASK = """\
task: sums
dataset_path: json
test_split: test
output_type: generate_until
doc_to_text: !function code.utils.to_text
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 12, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def test_functions_of_a_task_file_are_those_of_the_revision(committed: Path, invoke: Invoke) -> None:
    (committed / "tasks/code").mkdir(parents=True)
    (committed / "tasks/sums.yaml").write_text(TASK)
    code = committed / "tasks/code/utils.py"
    code.write_text('def to_text(doc):\n    return doc["question"]\n')
    sums = "  sums: {data: test_math_en, lm_eval: {task: sums, include_path: tasks, language: en, category: math}}\n"
    edit("\nbenchmarks:\n", f"\nbenchmarks:\n{sums}")
    git("add", "tasks", "studies")
    git("commit", "--message", "a task")
    assert "HEAD and . ask for the same" in invoke("diff").stdout
    code.write_text('def to_text(doc):\n    return doc["question"].strip()\n')
    assert read_stages(invoke("diff", "--json"))["generate"] == {"kept": 12, "new": 6, "gone": 6, "run": 18}
    git("rm", "--cached", "--quiet", "tasks/code/utils.py")
    git("commit", "--message", "without its code")
    told = invoke("diff").stderr
    assert "HEAD:studies/micro.yaml" in told
    assert "benchmarks.sums: HEAD:tasks/sums.yaml: !function code.utils.to_text: no file 'utils.py'" in told
