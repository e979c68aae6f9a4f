"""Runs too short for their warm-up, batch or snapshots are told while planning, all at once and where they stand."""

from pathlib import Path

import pytest

from mixlab.config.mixtures import Budget
from mixlab.config.problems import ConfigError
from mixlab.config.training import AdamWSettings, ConstantSchedule, TrainSettings
from mixlab.plan.build import build_plan
from mixlab.plan.checks_training import find_length

REPOSITORY = Path(__file__).resolve().parents[3]
Change = tuple[str, str]

PRETRAIN = ("budget: {tokens: 12000}, max_epochs: 8}", "budget: {tokens: 1000}, max_epochs: 8}")
IPT = ("  budget: {tokens: 16000}\n", "  budget: {windows: 20}\n")


def find_problems(folder: Path, *changes: Change) -> list[str]:
    """What is wrong with the micro study after some changes."""
    text = (REPOSITORY / "studies/micro.yaml").read_text(encoding="utf-8")
    for before, after in changes:
        assert text.count(before) >= 1, before
        text = text.replace(before, after)
    (folder / "studies").mkdir()
    (folder / "studies/micro.yaml").write_text(text, encoding="utf-8")
    (folder / "config.yaml").write_text("study: micro\n")
    (folder / "sources.lock").write_bytes((REPOSITORY / "sources.lock").read_bytes())
    try:
        build_plan(folder, check_files=False)
    except ConfigError as error:
        return [f"{one.key}: {one.message}" for one in error.problems]
    return []


def test_the_micro_study_is_long_enough(tmp_path: Path) -> None:
    assert find_problems(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "key", "told"),
    [
        (
            PRETRAIN,
            "base_models.tiny.training.schedule.warmup_steps",
            "5 steps of warm-up, but base model 'tiny' takes at most about 4 (1000 tokens)",
        ),
        (IPT, "variants.even.budget", "20 windows give 3 steps of ipt, and its snapshots need 13"),
        (IPT, "ipt.training.schedule.warmup_steps", "variant 'even' takes 3 (20 windows)"),
        (
            ("warmup_steps: 2}", "warmup_steps: 6}"),
            "sft.training.schedule.warmup_steps",
            "6 steps of warm-up, but sft takes 5 (40 windows)",
        ),
        (
            ("budget: {samples: 40}", "budget: {samples: 7}"),
            "sft.training.global_batch_windows",
            "8 windows a step, but sft reads 7 in all: not one step would be full",
        ),
        (
            ("  budget: {tokens: 16000}\n", "  budget: {steps: 50, global_batch_windows: 4}\n"),
            "variants.even.budget",
            "counts steps of 4 windows, but the training of ipt takes 8 a step",
        ),
    ],
)
def test_a_run_that_is_too_short_is_told(tmp_path: Path, change: Change, key: str, told: str) -> None:
    problems = find_problems(tmp_path, change)
    assert [one for one in problems if one.startswith(f"{key}: ") and told in one] != [], problems


def test_all_runs_that_are_too_short_are_told_at_once(tmp_path: Path) -> None:
    problems = find_problems(tmp_path, PRETRAIN, IPT, ("budget: {samples: 40}", "budget: {samples: 8}"))
    assert sorted(one.split(": ")[0] for one in problems) == [
        "base_models.tiny.training.schedule.warmup_steps",
        "ipt.training.schedule.warmup_steps",
        "sft.training.schedule.warmup_steps",
        "variants.even.budget",
        "variants['math heavy 数学'].budget",
    ]


def test_a_warm_up_as_long_as_the_run_is_none_of_these(tmp_path: Path) -> None:
    assert find_problems(tmp_path, ("warmup_steps: 2}", "warmup_steps: 5}")) == []


def test_only_what_is_sure_is_told() -> None:
    """Dialogues of any length lie behind a budget in tokens of SFT, and a budget in epochs says nothing yet."""
    training = TrainSettings(
        optimizer=AdamWSettings(name="adamw", learning_rate=1e-3),
        schedule=ConstantSchedule(name="constant"),
        global_batch_windows=8,
        passes="5/2",
    )
    assert find_length(training, Budget(tokens=1000), 64, whole_windows=False) is None
    assert find_length(training, Budget(epochs=1), 64, whole_windows=True) is None
    most = find_length(training, Budget(tokens=640), 64, whole_windows=True)
    assert most is not None and (most.windows, most.steps) == (50, 7)
    exact = find_length(training, Budget(samples=10), 64, whole_windows=False)
    assert exact is not None and (exact.windows, exact.steps) == (25, 4)
