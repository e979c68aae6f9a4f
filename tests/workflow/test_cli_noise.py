"""`mixlab noise` and what `mixlab plan` says of expected noise, as people meet them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from mixlab.plan.build import build_plan

Invoke = Callable[..., Result]
HEAVY = "math heavy 数学"


def test_replicates_are_written_as_a_study_and_share_what_there_is(micro: Path, invoke: Invoke) -> None:
    said = invoke("noise", "micro", HEAVY, "--ipt-seeds", "3")
    assert said.exit_code == 0
    assert said.stdout.startswith(f"studies/micro-noise.yaml: 3 IPT seeds of '{HEAVY}'")
    assert "Run it: mixlab noise micro" in said.stdout
    whole, replicates = (build_plan(micro, [name]).plan for name in ("micro", "micro-noise"))
    count = {stage: len(replicates.by_stage(stage)) for stage in ("mixture", "ipt", "sft")}
    assert count == {"mixture": 3, "ipt": 3, "sft": 6}
    shared = {node.key for node in replicates.by_stage("ipt")} & set(whole.nodes)
    assert len(shared) == 1


def test_the_price_and_the_noise_are_told_as_json(micro: Path, invoke: Invoke) -> None:
    told = json.loads(invoke("noise", "micro", "even", "--json").stdout)
    assert (told["study"], told["noise"]) == ("micro-noise", {})
    assert told["price"]["totals"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("micro", "evn"), "VARIANT: no variant is named 'evn'; did you mean 'even'?"),
        (("micro", "even", "--base-model", "tny"), "'even' has no base model 'tny'; did you mean 'tiny'?"),
        (("mirco", "even"), "no such study; did you mean 'micro'?"),
        (("micro", "even", "--ipt-seeds", "1"), "not in the range x>=2"),
    ],
)
def test_a_mistake_writes_nothing(micro: Path, invoke: Invoke, arguments: tuple[str, ...], said: str) -> None:
    result = invoke("noise", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert [path.name for path in (micro / "studies").iterdir()] == ["micro.yaml"]


def test_a_study_of_the_users_own_is_not_replaced(micro: Path, invoke: Invoke) -> None:
    own = micro / "studies/micro-noise.yaml"
    own.write_text("extends: micro.yaml\n")
    result = invoke("noise", "micro", "even")
    assert (result.exit_code, own.read_text()) == (2, "extends: micro.yaml\n")
    assert "studies/micro-noise.yaml: is a study of yours" in result.stderr


def test_run_hands_the_study_to_snakemake_and_leaves_with_its_exit_code(
    micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run(command: list[str], cwd: Path, check: bool) -> subprocess.CompletedProcess:
        asked.append(command[2:])
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr("mixlab.cli.noise.subprocess.run", run)
    assert invoke("noise", "micro", "even", "--run").exit_code == 3
    assert asked == [["snakemake", "--profile", "local", "all", "--config", "study=micro-noise"]]


def test_plan_says_what_can_be_found_where_a_study_states_its_noise(micro: Path, invoke: Invoke) -> None:
    assert "smallest differences" not in invoke("plan").stdout
    text = (micro / "studies/micro.yaml").read_text()
    noise = {"noise": {"measures": {"accuracy": {"ipt_seed": 0.004, "sft_seed": 0.002, "answer": 0.02}}}}
    (micro / "studies/micro.yaml").write_text(f"{text}\n{yaml.safe_dump(noise)}")
    lines = invoke("plan").stdout.splitlines()
    (at,) = (place for place, line in enumerate(lines) if "smallest differences found with 80% power" in line)
    assert lines[at + 2].startswith("more math data, more math  these models  paired_t")
    assert "cannot succeed: too little; would with" in lines[at + 2]
    assert "cannot succeed; not estimable: one IPT seed" in lines[at + 3]
    told = json.loads(invoke("plan", "--json").stdout)["detectable"]["micro"]
    assert [row["level"] for row in told] == ["these models", "this recipe"]


def test_a_study_in_a_folder_with_targets_has_replicates_beside_it(micro: Path, invoke: Invoke) -> None:
    (micro / "studies/papers").mkdir()
    target = {
        "of": "Table 1", "title": "t", "rows": ["variant"], "columns": ["measure"], "against": HEAVY,
        "variants": ["even", HEAVY], "measures": [{"label": "EN", "benchmarks": ["demo_math_en"]}],
        "error": {"what": "sd", "over": ["sft_seed"]},
    }  # fmt: skip
    study = {"extends": "../micro.yaml", "title": "A paper's", "targets": {"table_1": target}}
    (micro / "studies/papers/one.yaml").write_text(yaml.safe_dump(study, allow_unicode=True))
    said = invoke("noise", "papers/one", "even", "--base-model", "tiny")
    assert (said.exit_code, said.stderr) == (0, "")
    # the command that is told runs as it is
    assert (
        said.stdout.splitlines()[-1] == "Run it: mixlab noise papers/one 'even' --ipt-seeds 4 --base-model tiny --run"
    )
    plan = build_plan(micro, ["papers/one-noise"]).plan
    assert len(plan.by_stage("ipt")) == 4


def test_finished_replicates_that_the_study_names_no_more_are_told(micro: Path, invoke: Invoke) -> None:
    assert invoke("noise", "micro", "even", "--ipt-seeds", "3").exit_code == 0
    runs = build_plan(micro, ["micro-noise"]).plan.by_stage("ipt")
    for run in runs:
        pointer = micro / "tracked/ipt" / f"{run.key}.dvc"
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(f"outs:\n- md5: {'0' * 32}.dir\n  size: 1\n  nfiles: 1\n  path: {run.key}\n")
    again = invoke("noise", "micro", "even", "--ipt-seeds", "4")
    assert (again.exit_code, again.stderr) == (0, "")
    other = invoke("noise", "micro", HEAVY)
    assert other.exit_code == 0
    assert all(run.key in other.stderr for run in runs)
    assert "names no more; `mixlab gc` frees what no study needs" in other.stderr
