"""What a plan knows of base models that are read: refusals before any job, prices before they are here."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden import REPOSITORY

from mixlab.artifacts.states import read_states
from mixlab.artifacts.store import Store
from mixlab.config.base_models import HubModelConfig
from mixlab.config.model_facts import ModelFacts, find_positions, take_facts
from mixlab.config.model_flops import build_decoder_shape, count_training_flops
from mixlab.config.models import ModelSettings
from mixlab.config.problems import ConfigError
from mixlab.plan.base_model_lock import lock_hub_model
from mixlab.plan.build import Planned, build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.price import TrainingRun, list_runs
from mixlab.plan.sources_lock import read_lock, write_lock
from mixlab.plan.stages import STAGES
from mixlab.plan.workload import Workloads

FAR = HubModelConfig(type="hub", id="acme/model", tokenizer="bpe")
SIZES = ModelSettings(hidden_size=32, layers=2, heads=4, kv_heads=2, feed_forward=64, tie_embeddings=False)
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 410,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}
LORA = {"rank": 8, "alpha": 16}

PlanFar = Callable[..., Planned]


@pytest.fixture
def plan_far(tmp_path: Path) -> PlanFar:
    """Plans the micro study with a base model of the hub, whose lock notes what is given."""
    for name in ("config.yaml", "sources.lock"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "studies").mkdir()
    shutil.copy(REPOSITORY / "studies/micro.yaml", tmp_path / "studies/micro.yaml")

    def build(facts: ModelFacts | None, far: dict[str, Any] | None = None, **sections: Any) -> Planned:
        write_lock(tmp_path, {**read_lock(tmp_path), "base_model/far": lock_hub_model(FAR, "a" * 40, facts)})
        base_models = {"tiny": None, "far": {**FAR.model_dump(), **(far or {})}}
        study = {"extends": "micro.yaml", "base_models": base_models, **sections}
        (tmp_path / "studies/mine.yaml").write_text(json.dumps(study, indent=1))
        return build_plan(tmp_path, ["mine"], check_files=False)

    return build


def refuse(plan_far: PlanFar, facts: ModelFacts, **sections: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan_far(facts, **sections)
    assert {Path(problem.file or "").name for problem in caught.value.problems} == {"mine.yaml"}
    assert all(problem.line for problem in caught.value.problems)
    return [f"{problem.key}: {problem.message}" for problem in caught.value.problems]


def test_the_lock_keeps_what_it_notes_of_a_model_and_its_key_does_not_depend_on_it(
    plan_far: PlanFar, tmp_path: Path
) -> None:
    keys = []
    for facts in (None, take_facts(CONFIG), take_facts({"model_type": "gpt_neox"}, {})):
        keys.append(sorted(plan_far(facts).plan.nodes))
        assert read_lock(tmp_path)["base_model/far"].model == facts
    assert keys[0] == keys[1] == keys[2]
    assert "architectures" not in json.loads((tmp_path / "sources.lock").read_text())["sources"]["base_model/far"]


@pytest.mark.parametrize("model", [3, {}, {"config": []}, {"config": {}, "projections": {"q_proj": "wide"}}])
def test_an_entry_whose_model_is_damaged_is_told_with_the_cure(plan_far: PlanFar, tmp_path: Path, model: Any) -> None:
    plan_far(None)
    lock = json.loads((tmp_path / "sources.lock").read_text())
    lock["sources"]["base_model/far"]["model"] = model
    (tmp_path / "sources.lock").write_text(json.dumps(lock))
    with pytest.raises(ConfigError, match=r"'base_model/far' cannot be read .* run `mixlab lock base_model/far`"):
        read_lock(tmp_path)


def test_windows_and_adapters_beyond_a_model_that_is_read_are_told_together(plan_far: PlanFar) -> None:
    sections = {
        "ipt": {"sequence_tokens": 300, "training": {"lora": {**LORA, "rank": 17, "targets": ["q_proj", "k_proj"]}}},
        "sft": {"sequence_tokens": 512, "training": {"lora": {**LORA, "rank": 40}}},
    }
    told = refuse(plan_far, take_facts(CONFIG), **sections)
    assert told == [
        "ipt.sequence_tokens: 300 tokens are more than the longest sequence 256 of 'far'; "
        "lower it or take a model with more positions",
        "ipt.training.lora.rank: rank 17 is more than the 16 of 'k_proj' in base model 'far'; "
        "lower it, or train in full",
        "sft.sequence_tokens: 512 tokens are more than the longest sequence 256 of 'far'; "
        "lower it or take a model with more positions",
        "sft.training.lora.rank: rank 40 is more than the 32 of 'q_proj', the 16 of 'k_proj', the 16 of 'v_proj', "
        "the 32 of 'o_proj', the 32 of 'gate_proj', the 32 of 'up_proj', the 32 of 'down_proj' in base model 'far'; "
        "lower it, or train in full",
    ]
    # as large as the model allows, and what an older lock does not say
    plan_far(take_facts(CONFIG), ipt={"sequence_tokens": 256, "training": {"lora": {**LORA, "rank": 16}}})
    plan_far(None, **sections)


def test_responses_that_leave_no_room_in_a_model_that_is_read_are_told(plan_far: PlanFar) -> None:
    assert refuse(plan_far, take_facts(CONFIG), benchmarks={"demo_math_en": {"max_new_tokens": 300}}) == [
        "benchmarks.demo_math_en.max_new_tokens: responses of 300 tokens leave no room for a prompt in the longest "
        "sequence 256 of 'far', so nothing would be asked; lower max_new_tokens of the benchmark here or take a model "
        "with more positions"
    ]
    # what an older lock does not say, and a window that slides while it answers
    plan_far(None, benchmarks={"demo_math_en": {"max_new_tokens": 300}})
    sliding = take_facts({**CONFIG, "model_type": "mistral", "max_position_embeddings": 512, "sliding_window": 256})
    plan_far(sliding, benchmarks={"demo_math_en": {"max_new_tokens": 300}})


def test_targets_that_a_family_does_not_have_are_told(plan_far: PlanFar) -> None:
    some = take_facts({"model_type": "phi3"}, {"o_proj": 32, "down_proj": 32})
    none = take_facts({"model_type": "gpt_neox"}, {})
    training = {
        "optimizer": {"name": "adamw", "learning_rate": 0.004},
        "schedule": {"name": "constant"},
        "global_batch_windows": 8,
        "lora": {**LORA, "targets": ["o_proj", "up_proj"]},
    }
    assert refuse(plan_far, some, sft={"others": {"other": {"training": training}}}) == [
        "sft.others.other.training.lora.targets: base model 'far' has no projection up_proj; "
        "it has o_proj, down_proj; leave it out"
    ]
    (told,) = refuse(plan_far, none, sft={"training": {"lora": {**LORA, "targets": ["q_proj"]}}})
    assert told.endswith("no projection q_proj, nor any other that an adapter may stand beside; train in full")
    plan_far(some, sft={"training": {"lora": {**LORA, "targets": ["o_proj"]}}})


def test_an_adapter_wider_than_a_model_from_scratch_is_told(plan_far: PlanFar, tmp_path: Path) -> None:
    plan_far(None)
    study = {"extends": "micro.yaml", "sft": {"training": {"lora": {**LORA, "rank": 33, "targets": ["up_proj"]}}}}
    (tmp_path / "studies/mine.yaml").write_text(json.dumps(study))
    with pytest.raises(ConfigError, match="rank 33 is more than the 32 of 'up_proj' in base model 'tiny'"):
        build_plan(tmp_path, ["mine"], check_files=False)


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"model_type": "mistral", "max_position_embeddings": 90, "sliding_window": 40}, 40),
        ({"model_type": "mistral", "max_position_embeddings": 90, "sliding_window": None}, 90),
        ({"model_type": "qwen2", "max_position_embeddings": 90, "sliding_window": 40}, 90),
        ({"model_type": "qwen2", "max_position_embeddings": 90, "sliding_window": 40, "use_sliding_window": True}, 40),
        ({"model_type": "gpt2", "n_positions": 70}, 70),
        ({"model_type": "qwen2"}, 32_768),
        ({"model_type": "mamba"}, None),
        ({"model_type": "llama", "max_position_embeddings": "many"}, None),
    ],
)
def test_the_longest_sequence_is_that_of_positions_or_of_a_window_that_slides(
    config: dict[str, Any], positions: int | None
) -> None:
    assert find_positions(take_facts(config).config) == positions


def price(planned: Planned, root: Path) -> dict[str, TrainingRun]:
    store = Store(root)
    states = read_states(store, STAGES)
    targets = [key for keys in planned.plan.targets.values() for key in keys]
    workloads = Workloads(planned.plan, store, planned.files, planned.facts)
    return {run.node.stage: run for run in list_runs(workloads, states, build_demand(planned.plan, states, targets))}


def test_a_model_that_is_read_has_a_price_before_it_is_here(plan_far: PlanFar, tmp_path: Path) -> None:
    run = price(plan_far(take_facts(CONFIG)), tmp_path)["ipt"]
    assert run.workload is not None
    work = run.workload
    rows = {410: run.flops}
    far = {"resize_vocabulary": {"multiple": 64}}
    rows[448] = price(plan_far(take_facts(CONFIG), far), tmp_path)["ipt"].flops
    # the tokenizer of micro is asked for 400 entries
    rows[400] = price(plan_far(take_facts({**CONFIG, "vocab_size": 300}), {"resize_vocabulary": {}}), tmp_path)[
        "ipt"
    ].flops
    assert rows == {
        size: count_training_flops(build_decoder_shape(SIZES, size), work.tokens, work.squared_tokens) for size in rows
    }


def test_a_price_says_why_the_shape_of_a_model_is_not_known_and_what_makes_it_known(
    plan_far: PlanFar, tmp_path: Path
) -> None:
    unknown = price(plan_far(None), tmp_path)["ipt"].unknown
    assert unknown == (
        "sources.lock does not say yet what shape base model 'far' has; `mixlab lock base_model/far` notes it"
    )
    assert "'gpt_neox'" in price(plan_far(take_facts({"model_type": "gpt_neox"}, {})), tmp_path)["sft"].unknown
