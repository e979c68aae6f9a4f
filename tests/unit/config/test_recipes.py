"""`studies/kodama_oda/recipes.yaml` trains as Tables 10 and 11 say, and what they do not say is called assumed."""

import csv
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mixlab.config.exact import parse_exact
from mixlab.config.loading import Document, load_document
from mixlab.config.problems import ConfigError
from mixlab.config.studies import STUDY_TYPES, load_study, read_study
from mixlab.config.study import Study
from mixlab.plan.build import build_plan

REPOSITORY = Path(__file__).resolve().parents[3]
RECIPES = REPOSITORY / "studies/kodama_oda/recipes.yaml"

MODELS = {
    "llmjp3": "{hidden_size: 2048, layers: 24, heads: 16, feed_forward: 7168, max_positions: 4096}",
    "qwen2.5": "{hidden_size: 1536, layers: 28, heads: 12, kv_heads: 2, feed_forward: 8960, max_positions: 8192}",
    "llama-inhouse": "{hidden_size: 2048, layers: 16, heads: 16, kv_heads: 8, feed_forward: 7168, max_positions: 8192}",
    "llama3.2": "{hidden_size: 2048, layers: 16, heads: 32, kv_heads: 8, feed_forward: 8192, max_positions: 8192}",
}
"""Table 6."""

STUDY = """\
extends: kodama_oda/recipes.yaml
title: The four base models, their shapes as in Table 6, on data that can be generated
sources:
  raw:
    kind: raw
    language: en
    licence: CC0-1.0
    origin: {type: generator, name: invented_world, size: 300, options: {language: en, world_seed: 3}}
  math:
    kind: instruction
    language: en
    category: math
    licence: CC0-1.0
    origin: {type: generator, name: invented_world, size: 120, options: {language: en, category: math, world_seed: 3}}
  test_math:
    kind: benchmark
    licence: CC0-1.0
    origin: {type: generator, name: invented_world, size: 8, options: {language: en, category: math, world_seed: 3}}
tokenizers: {bpe: {vocab_size: 99574, sources: [raw]}}
variants:
  half: {sources: [raw, math], instruction: 1/2, max_epochs: 10_000_000}
sft: {mixture: {sources: [math], budget: {samples: 1000}}}
benchmarks: {demo_math_en: {data: test_math}}
base_models:
"""
BASE_MODEL = """\
  {name}:
    tokenizer: bpe
    model: {model}
    mixture: {{sources: [raw], budget: {{tokens: 1_000_000}}, max_epochs: 1000}}
    sequence_tokens: 4096
    training:
      optimizer: {{name: adamw, learning_rate: 3e-4}}
      schedule: {{name: constant}}
      global_batch_windows: 8
"""
STUDY += "".join(BASE_MODEL.format(name=name, model=model) for name, model in MODELS.items())

Row = dict[str, str]


def make_folder(root: Path, study: str = STUDY) -> Path:
    (root / "studies/kodama_oda").mkdir(parents=True)
    shutil.copy2(RECIPES, root / "studies/kodama_oda")
    (root / "studies/four.yaml").write_text(study, encoding="utf-8")
    (root / "config.yaml").write_text("study: four\n")
    return root


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return load_study(make_folder(tmp_path_factory.mktemp("recipes")), "four")[0]


@pytest.fixture(scope="module")
def recipes() -> Document:
    return load_document(RECIPES, STUDY_TYPES)


@pytest.fixture(scope="module")
def tables(shared_data: Path) -> dict[str, list[Row]]:
    rows = {}
    for number in ("10", "11"):
        path = shared_data / f"published/kodama-oda/table{number}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows[number] = list(csv.DictReader(file))
    return rows


def parse_printed(text: str) -> Fraction | str:
    """Read a figure as printed: 25k, 3e-4, 1024; a word stays one."""
    try:
        return parse_exact(text.removesuffix("k")) * (1000 if text.endswith("k") else 1)
    except ValueError:
        return text


def exact(number: float) -> Fraction:
    return Fraction(repr(number))


def at_the_end(training: Any) -> Fraction:
    return exact(training.optimizer.learning_rate) * exact(training.schedule.final_ratio)


OF_BOTH: dict[str, tuple[Callable[[Any], Any], str]] = {
    "Adam Beta1": (lambda one: exact(one.optimizer.betas[0]), "training.optimizer.betas[0]"),
    "Adam Beta2": (lambda one: exact(one.optimizer.betas[1]), "training.optimizer.betas[1]"),
    "Learning Rate (max)": (lambda one: exact(one.optimizer.learning_rate), "training.optimizer.learning_rate"),
    "Learning Rate (min)": (at_the_end, "training.schedule.final_ratio"),
    "Weight Decay": (lambda one: exact(one.optimizer.weight_decay), "training.optimizer.weight_decay"),
    "Warmup Steps": (lambda one: one.schedule.warmup_steps, "training.schedule.warmup_steps"),
    "Decay Style": (lambda one: one.schedule.name, "training.schedule.name"),
}
"""What both tables say -> how it is read from training settings, and the key that says it."""

OF_SFT: dict[str, tuple[Callable[[Any], Any], str]] = OF_BOTH | {
    "Number of Epochs": (lambda one: one.passes, "training.passes"),
    "Global Batch Size": (lambda one: one.global_batch_windows, "training.global_batch_windows"),
    # every schedule has a linear warm-up: there is no key for it
    "Warmup Style": (lambda one: "linear", "training.schedule.warmup_steps"),
}


def read_ipt(study: Study, base_model: str, hyperparameter: str) -> Any:
    """What a base model's IPT has of Table 10."""
    seen = study.seen_by(base_model)
    budget = seen.variants["half"].budget
    if hyperparameter == "Training Steps":
        # as many windows as that many steps take
        return Fraction(budget.settled().windows or 0, seen.ipt.training.global_batch_windows)
    if hyperparameter == "Global Batch size":
        assert budget.global_batch_windows == seen.ipt.training.global_batch_windows
        return seen.ipt.training.global_batch_windows
    if hyperparameter == "Max Sequence Length":
        return seen.ipt.sequence_tokens
    return OF_BOTH[hyperparameter][0](seen.ipt.training)


def test_every_row_of_table_10_is_what_each_base_model_is_trained_by(
    study: Study, tables: dict[str, list[Row]]
) -> None:
    wanted = {(row["model"], row["hyperparameter"]): parse_printed(row["value"]) for row in tables["10"]}
    assert len(wanted) == 40
    assert {key: read_ipt(study, *key) for key in wanted} == wanted


def test_every_row_of_table_11_is_what_sft_is_trained_by(study: Study, tables: dict[str, list[Row]]) -> None:
    wanted = {row["hyperparameter"]: parse_printed(row["value"]) for row in tables["11"]}
    assert len(wanted) == 10
    for base_model in study.base_models:
        sft = study.seen_by(base_model).sft
        assert sft is not None
        assert {name: OF_SFT[name][0](sft.training) for name in wanted} == wanted


def test_the_floor_of_both_cosines_is_a_tenth_exactly(study: Study) -> None:
    assert study.sft is not None
    for training in (study.ipt.training, study.sft.training):
        assert training.schedule.name == "cosine"
        assert exact(training.schedule.final_ratio) == Fraction(1, 10)


def list_leaves(value: Any, path: str = "") -> Iterator[str]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path
        return
    for key, one in parts:
        here = f"[{key}]" if isinstance(value, list) else f".{key}" if path else str(key)
        yield from list_leaves(one, path + here)


def test_what_no_table_says_is_assumed_and_nothing_else_is(recipes: Document) -> None:
    printed = {
        "variant_defaults.budget.steps",
        "variant_defaults.budget.global_batch_windows",
        "base_models.llmjp3.overrides.ipt.sequence_tokens",
        "ipt.sequence_tokens",
        "ipt.training.global_batch_windows",
        *(f"ipt.{place}" for _, place in OF_BOTH.values()),
        *(f"sft.{place}" for _, place in OF_SFT.values()),
    }
    assumed = {one.address for one in recipes.assumptions}
    assert set(list_leaves(recipes.data)) - assumed == printed
    assert not printed & assumed
    assert all(one.reason for one in recipes.assumptions)


def test_a_study_that_extends_the_recipes_can_be_planned(tmp_path: Path) -> None:
    plan = build_plan(make_folder(tmp_path), check_files=False).plan
    lengths = {node.label.partition(" on ")[2].split("/")[0]: node for node in plan.by_stage("ipt")}
    assert sorted(lengths) == ["llama-inhouse", "llama3.2", "llmjp3", "qwen2.5"]
    spec: Any = lengths["llmjp3"].spec
    assert spec.training.dtype == "bfloat16" and spec.training.snapshots.keep == 10
    packs: dict[str, Any] = {
        name: [plan.nodes[key].spec for key in node.reads["packs"]] for name, node in lengths.items()
    }
    found = {name: {one.pack.sequence_tokens for one in specs} for name, specs in packs.items()}
    assert found == {"llmjp3": {4096}, "qwen2.5": {8192}, "llama-inhouse": {8192}, "llama3.2": {8192}}


def test_a_study_takes_the_base_models_it_wants(tmp_path: Path) -> None:
    text, _, rest = STUDY.partition("  llmjp3:\n")
    others = rest[rest.index("  qwen2.5:\n") :]
    read = read_study(make_folder(tmp_path, f"{text}  llmjp3: null\n{others}"), "four")
    assert read.problems == ()
    assert sorted(read.study.base_models) == ["llama-inhouse", "llama3.2", "qwen2.5"]


def test_a_study_that_forgets_what_the_recipes_leave_out_is_told(tmp_path: Path) -> None:
    text = STUDY.replace("sft: {mixture: {sources: [math], budget: {samples: 1000}}}\n", "")
    with pytest.raises(ConfigError, match=r"sft\.mixture: missing"):
        load_study(make_folder(tmp_path, text), "four")
