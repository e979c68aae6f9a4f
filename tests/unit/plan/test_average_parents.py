"""What an average descends from: snapshots, and for a delta the model that the run began from."""

from pathlib import Path

import pytest

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan

REPOSITORY = Path(__file__).resolve().parents[3]
WRITTEN = "average: {last: 4}"


def plan_micro(folder: Path, average: str) -> Plan:
    (folder / "studies").mkdir(exist_ok=True)
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (folder / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")
    study = folder / "studies/micro.yaml"
    text = study.read_text(encoding="utf-8")
    assert WRITTEN in text
    study.write_text(text.replace(WRITTEN, f"average: {average}"), encoding="utf-8")
    return build_plan(folder, ["micro"], check_files=False).plan


def list_keys(plan: Plan, stage: str) -> set[str]:
    return {node.key for node in plan.by_stage(stage)}


def test_only_a_delta_has_the_base_model_among_its_parents(tmp_path: Path) -> None:
    plain, delta = plan_micro(tmp_path, "{last: 4}"), plan_micro(tmp_path, "{last: 4, delta_scale: 0.5}")
    assert [set(node.parents) for node in plain.by_stage("average")] == [{"snapshots"}] * 2
    (base,) = delta.by_stage("pretrain")
    assert [node.parents["base_model"] for node in delta.by_stage("average")] == [(base.key,)] * 2
    assert [node.parents["snapshots"] for node in delta.by_stage("average")] == [
        node.parents["snapshots"] for node in plain.by_stage("average")
    ]
    assert list_keys(delta, "ipt") == list_keys(plain, "ipt")
    assert list_keys(delta, "sft").isdisjoint(list_keys(plain, "sft"))


@pytest.mark.parametrize(
    "average",
    [
        "{last: 4, dtype: bfloat16}",
        "{last: 4, method: ema, decay: 0.9}",
        "{last: 4, method: weighted, weights: [4, 3, 2, 1]}",
        "{last: 4, shard_bytes: 1 GB}",
    ],
)
def test_another_form_is_another_average_of_the_same_run(tmp_path: Path, average: str) -> None:
    plain, other = plan_micro(tmp_path, "{last: 4}"), plan_micro(tmp_path, average)
    assert list_keys(other, "ipt") == list_keys(plain, "ipt")
    assert list_keys(other, "average").isdisjoint(list_keys(plain, "average"))
    assert len(list_keys(other, "average")) == 2


def test_a_form_written_out_as_it_was_before_there_were_others_changes_no_key(tmp_path: Path) -> None:
    plain = plan_micro(tmp_path, "{last: 4}")
    same = plan_micro(tmp_path, "{last: 4, dtype: float32, weights: null, decay: null, delta_scale: null}")
    assert list_keys(same, "average") == list_keys(plain, "average")


@pytest.mark.parametrize(
    ("average", "said"),
    [
        ("{last: 4, method: weighted, weights: [1, 2]}", "average: weights: 2 for the last 4 snapshots"),
        ("{last: 4, method: weighted, weights: [1, 2, 0, -1]}", "average.weights: every weight must be more than 0"),
        ("{last: 4, method: ema, decay: 1.5}", "average.decay: must lie between 0 and 1, both excluded, got 3/2"),
        ("{last: 5, method: ema, decay: 0.5}", "average.last: averages 5 snapshots, but ipt keeps 4"),
    ],
)
def test_a_mistake_is_found_before_any_job_with_its_line(tmp_path: Path, average: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_micro(tmp_path, average)
    (problem,) = caught.value.problems
    assert said in str(problem)
    assert problem.line > 0
