"""docs/judging.md shows what its commands print, for the study and the machine that it shows."""

import importlib
from collections import Counter
from pathlib import Path

import pytest
from checkouts import CONFIG, copy_checkout
from docs_blocks import REPOSITORY, find_difference, read_blocks, read_commands, run_command

from mixlab.artifacts.store import Store
from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.studies import CONFIG as CONFIG_FILE
from mixlab.config.studies import load_main_config, read_study
from mixlab.plan.build import build_plan
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.stages.doorway import make_artifacts

DOCUMENT = REPOSITORY / "docs/judging.md"


def read_settings() -> list[str]:
    """The settings that are shown: of a study, of a machine, and of a study that compares."""
    return [block.text for block in read_blocks(DOCUMENT) if block.language == "yaml"]


def test_the_document_shows_what_the_micro_study_would_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy_checkout(tmp_path / "copy")
    study, machine, _ = read_settings()
    path = root / "studies/micro.yaml"
    judge, seeds = study.split("seeds:\n")
    (runs,) = seeds.splitlines()
    text = path.read_text("utf-8").replace("  judge_run: [1, 2]", runs)
    assert runs in text
    # the items of the study's dialogues have no category
    path.write_text(text + judge.replace("  reference_categories: [math, reasoning, coding]\n", ""), "utf-8")
    (root / CONFIG_FILE).write_text(CONFIG + machine.removeprefix("machine:\n"))
    read = read_study(root, "micro").study
    assert isinstance(read.judge, ModelJudgeConfig)
    assert load_main_config(root).machine.judging.budget.max_calls == 5000
    planned = build_plan(root, ["micro"], check_files=False)
    store = Store(root)
    plan_file = write_plan(store, render_plan(planned.plan, planned.config.machine, planned.files))
    items = sorted({node.parents["items"][0] for node in planned.plan.by_stage("judge")})
    monkeypatch.chdir(root)
    make_artifacts("source", importlib.import_module("mixlab.stages.source").run, plan_file, items, store)
    for command in read_commands(DOCUMENT):
        assert command.printed
        assert not find_difference(command, run_command(root, command.text))


def test_the_comparisons_of_the_document_can_be_planned(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "copy")
    study, _, pairwise = read_settings()
    path = root / "studies/micro.yaml"
    path.write_text(f"{path.read_text('utf-8')}\n{study.partition('seeds:')[0]}{pairwise}", "utf-8")
    pairs = build_plan(root, ["micro"], check_files=False).plan.by_stage("judge_pairs")
    # of one other variant: two SFT seeds and the model before SFT, each in two judge runs
    assert Counter("sft_seed" in node.label for node in pairs) == {True: 4, False: 2}
