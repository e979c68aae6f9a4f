"""What training costs, as far as it is known: from what is made, else from budgets; done and to do apart."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from golden import plan_micro

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.records import Records, parse_moment
from mixlab.artifacts.states import States, read_states
from mixlab.artifacts.store import Store
from mixlab.config.mixtures import Budget
from mixlab.config.model_flops import LoraShape, build_decoder_shape, count_training_flops
from mixlab.config.pricing import GPUS, PricingSettings
from mixlab.config.problems import ConfigError
from mixlab.config.training import AdamWSettings, ConstantSchedule, LoraSettings, TrainSettings
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Node, Plan
from mixlab.plan.price import Line, Measured, TrainingRun, build_lines, list_runs, read_measured, sum_lines
from mixlab.plan.stages import STAGES
from mixlab.plan.workload import UnknownError, Workloads, count_entries, find_lora

Finish = Callable[[str, str, str, Any], None]


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan_micro()


@pytest.fixture
def plan(planned: Plan) -> Plan:
    """A plan whose nodes a test may replace."""
    return Plan(dict(planned.nodes), dict(planned.targets))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def finish(store: Store) -> Finish:
    """Lets an artifact look whole, with one file in it."""

    def make(stage: str, key: str, name: str = "", value: Any = None) -> None:
        path = store.manifest_path(stage, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        if name:
            (path.parent / name).write_text(json.dumps(value))

    return make


def price(plan: Plan, store: Store) -> dict[str, TrainingRun]:
    states = read_states(store, STAGES)
    demand = build_demand(plan, states, [key for keys in plan.targets.values() for key in keys])
    return {run.node.key: run for run in list_runs(Workloads(plan, store), states, demand)}


def the(plan: Plan, stage: str) -> Node:
    return plan.by_stage(stage)[0]


def mixture_of(plan: Plan, node: Node) -> Node:
    return plan.nodes[node.parents["mixture"][0]]


def with_budget(plan: Plan, node: Node, budget: Budget) -> None:
    """Give the mixture of a run another budget under the key it has."""
    mixture = mixture_of(plan, node)
    spec: Any = mixture.spec
    changed = spec.model_copy(update={"mixture": spec.mixture.model_copy(update={"budget": budget})})
    plan.nodes[mixture.key] = Node(mixture.stage, mixture.key, changed, mixture.parents, mixture.reads, mixture.group)


def test_a_plan_with_nothing_made_is_priced_by_its_budgets(plan: Plan, store: Store) -> None:
    """Pretraining: 12,000 tokens in windows of 64, 8 a step. SFT: 40 dialogues in windows of 96, 8 a step."""
    runs = price(plan, store)
    assert [run.node.stage for run in runs.values()].count("sft") == 4
    assert {run.state for run in runs.values()} == {"to_do"}
    pretrain, tuned = runs[the(plan, "pretrain").key], runs[the(plan, "sft").key]
    assert pretrain.base_model == tuned.base_model == "tiny"
    assert pretrain.workload is not None and tuned.workload is not None
    assert (pretrain.workload.tokens, pretrain.workload.steps) == (12_000, 24)
    assert (tuned.workload.tokens, tuned.workload.steps) == (40 * 96, 5)
    spec: Any = pretrain.node.spec
    shape = build_decoder_shape(spec.model, 400)
    assert pretrain.flops == count_training_flops(shape, 12_000, 12_000 * 64)


def test_a_mixture_that_is_made_is_counted_and_answers_alone_pass_the_head(
    plan: Plan, store: Store, finish: Finish
) -> None:
    tuned = the(plan, "sft")
    sources = {"allocated_tokens": [900, 100], "response_tokens": [300, 50]}
    finish(
        "mixture",
        mixture_of(plan, tuned).key,
        "certificate.json",
        {"windows": 20, "sequence_tokens": 96, "sources": sources},
    )
    run = price(plan, store)[tuned.key]
    assert run.workload is not None
    assert (run.workload.tokens, run.workload.head_tokens, run.workload.steps) == (1_000, 350, 3)
    base: Any = the(plan, "pretrain").spec
    shape = build_decoder_shape(base.model, 400)
    assert run.flops == count_training_flops(shape, 1_000, 1_000 * 96, head_tokens=350)


def test_a_budget_in_windows_bounds_tokens_and_one_in_epochs_waits_for_the_packs(
    plan: Plan, store: Store, finish: Finish
) -> None:
    pretrain = the(plan, "pretrain")
    with_budget(plan, pretrain, Budget(windows=100))
    run = price(plan, store)[pretrain.key]
    assert run.workload is not None
    assert (run.workload.tokens, run.workload.steps) == (6_400, 13)
    assert "tokens are at most" in run.workload.known_by
    with_budget(plan, pretrain, Budget(epochs=2))
    run = price(plan, store)[pretrain.key]
    assert (run.workload, run.flops) == (None, None)
    assert "in epochs" in run.unknown
    for pack in mixture_of(plan, pretrain).parents["packs"]:
        finish("pack", pack, "index.json", {"tokens": 500})
    run = price(plan, store)[pretrain.key]
    assert run.workload is not None
    assert run.workload.tokens == 2 * 500 * len(mixture_of(plan, pretrain).parents["packs"])


def with_steps(plan: Plan, node: Node, steps: int) -> None:
    """Let a run say its steps itself, under the key it has."""
    spec: Any = node.spec
    changed = spec.model_copy(update={"training": spec.training.model_copy(update={"steps": steps})})
    plan.nodes[node.key] = Node(node.stage, node.key, changed, node.parents, node.reads, node.group)


@pytest.mark.parametrize("budget", [Budget(tokens=1_000), Budget(epochs=2), Budget(windows=7)])
def test_a_training_that_says_its_steps_makes_so_many_of_full_windows_at_most(
    plan: Plan, store: Store, budget: Budget
) -> None:
    """40 steps of 8 windows of at most 64 tokens, however much of them is filled and whatever the budget."""
    pretrain = the(plan, "pretrain")
    with_budget(plan, pretrain, budget)
    with_steps(plan, pretrain, 40)
    work = price(plan, store)[pretrain.key].workload
    assert work is not None
    assert (work.steps, work.tokens, work.head_tokens) == (40, 40 * 8 * 64, 40 * 8 * 64)
    assert work.known_by == "its training says its steps: tokens are at most these"


def test_a_base_model_that_is_made_says_its_own_shape(plan: Plan, store: Store, finish: Finish) -> None:
    """Its vocabulary came out smaller than the tokenizer was asked for."""
    before = price(plan, store)[the(plan, "ipt").key].flops
    config = {
        "model_type": "llama",
        "vocab_size": 390,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "tie_word_embeddings": True,
    }
    finish("pretrain", the(plan, "pretrain").key, "config.json", config)
    after = price(plan, store)[the(plan, "ipt").key].flops
    assert before is not None and after is not None
    assert before - after == 6 * 10 * 32 * 16_000
    finish("pretrain", the(plan, "pretrain").key, "config.json", {"model_type": "mamba"})
    assert "'mamba'" in price(plan, store)[the(plan, "ipt").key].unknown


def test_a_file_of_an_artifact_that_cannot_be_read_is_told(plan: Plan, store: Store, finish: Finish) -> None:
    finish("mixture", mixture_of(plan, the(plan, "ipt")).key)
    with pytest.raises(ArtifactError, match=r"certificate\.json: cannot be read .* run `mixlab verify"):
        price(plan, store)


def test_done_to_do_and_not_needed_are_summed_apart(plan: Plan, store: Store) -> None:
    """One IPT is done; its SFTs are finished by their scores, so that nobody needs the one that is not here."""
    first, second = plan.by_stage("ipt")
    complete = frozenset({first.name, *(node.name for node in plan.by_stage("pretrain"))})
    targets = [second.key]
    states = States(complete, frozenset(), frozenset())
    runs = list_runs(Workloads(plan, store), states, build_demand(plan, states, targets))
    assert {run.node.key: run.state for run in runs if run.node.stage == "ipt"} == {
        first.key: "done",
        second.key: "to_do",
    }
    lines = {line.stage: line for line in build_lines(runs, GPUS["h100"], {}, None, 0.4)}
    assert [lines["ipt"].done.runs, lines["ipt"].to_do.runs, lines["ipt"].not_needed.runs] == [1, 1, 0]
    assert [lines["sft"].done.runs, lines["sft"].to_do.runs, lines["sft"].not_needed.runs] == [0, 0, 4]
    total = sum_lines(list(lines.values()), "all")
    assert total.to_do == lines["ipt"].to_do
    assert total.done.flops == lines["ipt"].done.flops + lines["pretrain"].done.flops


def test_gpu_hours_are_operations_by_the_peak_of_their_dtype_and_the_share_used(plan: Plan, store: Store) -> None:
    runs = list(price(plan, store).values())
    pretrain = next(run for run in runs if run.node.stage == "pretrain")
    assert pretrain.dtype == "float32" and pretrain.flops
    line = next(one for one in build_lines(runs, GPUS["h100"], {}, 0.5, 0.4) if one.stage == "pretrain")
    assert line.to_do.gpu_hours == pytest.approx(pretrain.flops / (67e12 * 0.5) / 3600)
    assert line.utilisation is not None and (line.utilisation.mfu, line.utilisation.basis) == (0.5, "given")


H100, NOTED = "NVIDIA H100 80GB HBM3", "2026-11-20T10:00:00+00:00"


def note(store: Store, node: Node, number: int, **facts: str) -> None:
    path = store.root / "provenance" / node.stage / node.key / f"{number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"finished": NOTED, **({"facts": facts} if facts else {})}))


def test_utilisation_measured_in_finished_runs_goes_before_the_assumption(
    plan: Plan, store: Store, finish: Finish
) -> None:
    first, second = plan.by_stage("ipt")
    for number, mfu in enumerate(("0.30", "0.50", "0.32", "nan", "fast", "7")):
        note(store, first, number, mfu=mfu, device=H100)
    note(store, first, 8)
    note(store, first, 9, mfu="0.9", device="NVIDIA A100-SXM4-80GB")
    note(store, first, 10, mfu="0.9", device="cuda")  # of an unknown kind
    note(store, second, 1, mfu="0.9", device=H100)  # not finished: a run that was lost
    finish("ipt", first.key)
    runs = list(price(plan, store).values())
    measured = read_measured(Records(store), runs, "h100")
    lines: dict[str, Line] = {line.stage: line for line in build_lines(runs, GPUS["h100"], measured, None, 0.4)}
    used = {stage: line.utilisation for stage, line in lines.items()}
    assert used["ipt"] is not None and used["sft"] is not None
    assert (used["ipt"].mfu, used["ipt"].basis, used["ipt"].runs) == (0.32, "measured", 3)
    assert used["sft"].mfu == 0.32
    assert read_measured(Records(store), runs, "h200") == {}
    assert read_measured(Records(store), runs, "h100", parse_moment(NOTED)) == {}


def test_what_was_measured_on_another_architecture_under_the_same_name_is_none(plan: Plan, store: Store) -> None:
    runs = list(price(plan, store).values())
    shape = runs[0].shape
    assert shape is not None
    for measured, basis in ((shape, "measured"), (replace(shape, layers=80), "assumed")):
        lines = build_lines(runs, GPUS["h100"], {(measured, ""): [Measured(0.1, H100)]}, None, 0.4)
        assert [line.utilisation and line.utilisation.basis for line in lines] == [basis] * 3


def test_adapters_of_training_settings_are_heeded() -> None:
    plain = {"optimizer": AdamWSettings(name="adamw", learning_rate=1e-3), "global_batch_windows": 8}
    plain["schedule"] = ConstantSchedule(name="constant")
    assert find_lora(TrainSettings(**plain)) is None
    adapted = TrainSettings(**plain, lora=LoraSettings(rank=4, alpha=8, targets=("q_proj",)))
    assert find_lora(adapted) == LoraShape(4, ("q_proj",))


def test_a_tokenizers_file_says_its_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 9}]}))
    assert count_entries(path) == 10
    path.write_text(json.dumps({"model": {"vocab": [["a", -1.0], ["b", -2.0]]}}))
    assert count_entries(path) == 2
    path.write_text("{}")
    with pytest.raises(UnknownError, match=r"not a tokenizer\.json"):
        count_entries(path)


def test_a_gpu_is_known_by_name_or_declared() -> None:
    declared = {"gpus": {"mine": {"bfloat16": 1e14, "float32": 1e13, "source": "its maker"}}}
    assert PricingSettings.model_validate({**declared, "gpu": "mine"}).choose(None)[1].bfloat16 == 1e14
    assert PricingSettings().choose("a100")[1].bfloat16 == 312e12
    with pytest.raises(ConfigError, match=r"no GPU is named 'h10'; did you mean 'h100'\?; known: h100, .*declare it"):
        PricingSettings().choose("h10")
    with pytest.raises(ValueError, match="no GPU is named 'mine'"):
        PricingSettings(gpu="mine")


def test_pricing_imports_nothing_heavy() -> None:
    code = (
        "import sys, mixlab.plan.price, mixlab.config.model_flops\n"
        "heavy = 'torch pandas numpy snakemake dvc transformers tokenizers scipy pyarrow'.split()\n"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
