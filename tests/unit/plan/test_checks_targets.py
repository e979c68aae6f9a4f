"""Targets that a study cannot give are told before any job, all at once, with their places."""

from pathlib import Path

import pytest

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.specs import ReportSpec

REPOSITORY = Path(__file__).resolve().parents[3]
GOOD = """
targets:
  judged:
    of: Table 1
    title: Dialogue
    rows: [variant]
    columns: [base_model, measure]
    measures: [{label: EN, measure: judge_score, benchmarks: [demo_dialogue_en]}]
    against: even
"""
BAD = """
targets:
  names:
    of: Table 1
    title: t
    rows: [variant]
    columns: [base_model, measure]
    variants: [evn]
    base_models: [tny]
    measures: [{label: EN, measure: judge_score, benchmarks: [demo_math_en]}]
    figure: {x: {even: 0, odd: 1}, x_label: x, y_label: y}
  raw: {type: raw, of: Table 9, title: t, variant: even, base_model: other}
"""


SECOND = """
effects: []
base_models:
  second:
    tokenizer: bpe
    model: {hidden_size: 32, layers: 1, heads: 2, feed_forward: 64, max_positions: 256}
    mixture: {sources: [raw_file, raw_ja], budget: {tokens: 11000}, max_epochs: 8}
    sequence_tokens: 64
    training:
      optimizer: {name: adamw, learning_rate: 0.004}
      schedule: {name: constant, warmup_steps: 5}
      global_batch_windows: 8
variants: {even: {base_models: [tiny]}}
"""


def write_study(root: Path, text: str) -> Path:
    (root / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (root / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")
    (root / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}", encoding="utf-8")
    return root


def test_a_target_enters_the_report_alone_with_the_points_it_shows(tmp_path: Path) -> None:
    root = write_study(tmp_path, GOOD)
    with_target, without = (build_plan(root, [name], check_files=False).plan for name in ("other", "micro"))
    assert {key for key, node in with_target.nodes.items() if key not in without.nodes} == set(
        with_target.targets["other"]
    )
    (report,) = with_target.by_stage("report")
    assert isinstance(report.spec, ReportSpec)
    (target,) = report.spec.targets
    assert [(one.variant, one.base_model) for one in target.points] == [("even", "tiny"), ("math heavy 数学", "tiny")]
    assert target.seeds["sft_seed"] == 2


def test_unknown_names_are_told_with_their_place_and_a_guess(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build_plan(write_study(tmp_path, BAD), ["other"], check_files=False)
    told = {problem.key: problem.message for problem in caught.value.problems}
    assert set(told) == {
        "targets.names.variants",
        "targets.names.base_models",
        "targets.names.figure.x",
        "targets.names.measures[0]",
        "targets.raw.base_model",
    }
    assert "did you mean 'even'?" in told["targets.names.variants"]
    assert "selects no benchmark of the study" in told["targets.names.measures[0]"]
    assert all(problem.file.endswith("other.yaml") and problem.line for problem in caught.value.problems)


def test_a_target_of_points_that_the_study_has_not_is_told_before_any_job(tmp_path: Path) -> None:
    other = GOOD.replace("against: even", "variants: [even]\n    base_models: [second]")
    with pytest.raises(ConfigError) as caught:
        build_plan(write_study(tmp_path, SECOND + other), ["other"], check_files=False)
    (problem,) = caught.value.problems
    assert problem.key == "targets.judged.base_models"
    assert "none of its variants is for any of its base models" in problem.message
    # one of two is enough
    both = other.replace("[second]", "[second, tiny]")
    (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{SECOND}{both}", encoding="utf-8")
    assert build_plan(tmp_path, ["other"], check_files=False).plan.targets["other"]
