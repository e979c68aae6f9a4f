"""How a study fine-tunes: packed or not, in one way or several, with or without the epochs on the way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node, Plan

REPOSITORY = Path(__file__).resolve().parents[3]

MakePlan = Callable[[str], Plan]
LORA = (
    "{optimizer: {name: adamw, learning_rate: 0.01}, schedule: {name: constant}, global_batch_windows: 8, "
    "lora: {rank: 4, alpha: 8}%s}"
)


def lora(more: str = "") -> str:
    """Training settings of a LoRA run."""
    return LORA % more


@pytest.fixture
def plan(tmp_path: Path) -> MakePlan:
    """Plan the micro study with a text that extends it."""
    (tmp_path / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")

    def make(text: str) -> Plan:
        (tmp_path / "studies/other.yaml").write_text(f"extends: micro.yaml\n{text}\n", encoding="utf-8")
        return build_plan(tmp_path, ["other"], check_files=False).plan

    return make


def keys(plan: Plan, *without: str) -> set[tuple[str, str]]:
    return {node.name for node in plan.nodes.values() if node.stage not in without}


def generates(plan: Plan) -> set[str]:
    """The models that are asked."""
    return {node.parents["model"][0] for node in plan.by_stage("generate")}


def report_points(plan: Plan) -> dict[str, str]:
    (report,) = plan.by_stage("report")
    return {one.label: one.variant_key for one in report.spec.report.variants}


def test_a_further_way_adds_its_own_models_and_re_keys_none_of_the_others(plan: MakePlan) -> None:
    gathered = ("aggregate", "report")
    before, after = plan(""), plan(f"sft: {{others: {{LoRA: {{training: {lora()}}}}}}}")
    assert keys(before, *gathered) < keys(after, *gathered)
    added: list[Node] = [node for key, node in after.nodes.items() if key not in before.nodes]
    assert {node.stage for node in added} == {"sft", "generate", "score", "judge", "scores", *gathered}
    tuned = [node for node in added if node.stage == "sft"]
    assert len(tuned) == 2 * 2
    assert all(node.spec.training.lora is not None for node in tuned)
    assert generates(after) - generates(before) == {node.key for node in tuned}
    points = report_points(after)
    assert sorted(points) == sorted(["even", "even, LoRA", "math heavy 数学", "math heavy 数学, LoRA"])
    assert len(set(points.values())) == 4
    assert {label: points[label] for label in report_points(before)} == report_points(before)


def test_a_further_way_may_be_of_some_variants_alone_and_its_name_decides_no_key(plan: MakePlan) -> None:
    named, renamed = (
        plan(f"sft: {{others: {{{name}: {{variants: [even], training: {lora()}}}}}}}") for name in ("LoRA", "低ランク")
    )
    assert len(named.by_stage("sft")) == 2 * 2 + 2
    assert keys(named, "report", "counts") == keys(renamed, "report", "counts")
    assert list(report_points(named)) != list(report_points(renamed))


def test_effects_may_be_claimed_between_ways_of_fine_tuning(plan: MakePlan) -> None:
    effect = "{name: full beats LoRA, variant: even, against: 'even, LoRA', stage: after_sft, at_least: 0}"
    made = plan(f"sft: {{others: {{LoRA: {{training: {lora()}}}}}}}\neffects: [{effect}]")
    (gathered,) = made.by_stage("aggregate")
    (comparison,) = gathered.spec.aggregate.comparisons
    points = report_points(made)
    assert (comparison.variant_key, comparison.against_key) == (points["even"], points["even, LoRA"])


def test_kept_epochs_are_members_of_the_run_and_are_asked_only_when_the_study_says_so(plan: MakePlan) -> None:
    kept = "sft: {training: {passes: 5/2, keep_epochs: true}%s}"
    silent, asked = plan(kept % ""), plan(kept % ", evaluate_epochs: true")
    assert keys(silent, "aggregate", "report") < keys(asked, "aggregate", "report")
    assert not any(":" in model for model in generates(silent))
    runs = [node.key for node in asked.by_stage("sft")]
    assert len(runs) == 4
    members = {f"{key}:epoch-{epoch}" for key in runs for epoch in (1, 2)}
    assert generates(asked) == generates(silent) | members
    assert {"even, epoch 1", "even, epoch 2"} < set(report_points(asked))
    groups = {node.parents["model"][0]: node.group for node in asked.by_stage("generate")}
    assert len(set(groups.values())) == len(groups), "one process serves one model, not several of its epochs"


def test_packed_dialogues_have_packs_of_their_own_and_leave_the_rest_as_it_was(plan: MakePlan) -> None:
    before, after = (
        plan("sft: {mixture: {budget: {samples: null, epochs: 1}}}"),
        plan("sft: {layout: packed, mixture: {budget: {samples: null, epochs: 1}}}"),
    )
    assert {stage for stage, _ in keys(before) - keys(after)}.isdisjoint({"source", "tokenize", "ipt", "average"})
    layouts = [
        {node.spec.pack.layout for node in made.by_stage("pack") if node.spec.pack.sequence_tokens == 96}
        for made in (before, after)
    ]
    assert layouts == [{"one_per_window"}, {"packed"}]


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("sft: {layout: packed}", "sft.mixture.budget", "samples count windows of one dialogue each"),
        ("sft: {evaluate_epochs: true}", "sft.evaluate_epochs", "no epoch is kept; set keep_epochs"),
        (
            "sft: {evaluate_epochs: true, training: {keep_epochs: true, steps: 40}}",
            "sft.training.steps",
            "must be known before the windows are",
        ),
        (
            f"sft: {{others: {{LoRA: {{variants: [evn], training: {lora()}}}}}}}",
            "sft.others.LoRA.variants[0]",
            "no variant is named 'evn'; did you mean 'even'?",
        ),
        (
            f"sft: {{others: {{LoRA: {{training: {lora(', snapshots: {every_steps: 1, keep: 2}')}}}}}}}",
            "sft.others.LoRA.training.snapshots",
            "remove snapshots",
        ),
        (
            f"sft: {{others: {{LoRA: {{training: {lora()}}}}}}}\nvariants: {{'even, LoRA': {{instruction: 1/2}}}}",
            "sft.others",
            "two points are called 'even, LoRA'",
        ),
        (
            f"sft: {{others: {{LoRA: {{training: {lora()}}}}}}}\n"
            "effects: [{name: a, variant: 'even, LoRA', against: even, stage: before_sft, at_least: 0}]",
            "effects[0].stage",
            "'even, LoRA' is a way of fine-tuning, so it has no score before it",
        ),
        (
            "base_models: {tiny: {training: {lora: {rank: 4, alpha: 8}}}}",
            "base_models.tiny.training.lora",
            "an adapter needs a trained model to stand on",
        ),
        (
            "base_models: {tiny: {training: {passes: 2, keep_epochs: true}}}",
            "base_models.tiny.training.keep_epochs",
            "pretraining keeps its last model alone",
        ),
        ("ipt: {training: {steps: 12}}", "ipt.training.steps", "12 steps, and the snapshots need 13"),
    ],
)
def test_what_fine_tuning_cannot_mean_is_told_where_it_was_written(
    plan: MakePlan, text: str, key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        plan(text)
    told = {problem.key: problem.message for problem in raised.value.problems}
    assert words in told[key]


WAY = "{training: {optimizer: {name: adamw, learning_rate: %s}, schedule: {name: constant}, global_batch_windows: 8}}"
MODEL = """\
base_models:
  %s:
    tokenizer: bpe
    model: {hidden_size: %d, layers: 1, heads: 2, feed_forward: 64, max_positions: 256}
    mixture: {sources: [raw_file, raw_ja], budget: {tokens: 12000}, max_epochs: 8}
    sequence_tokens: 64
    training:
      optimizer: {name: adamw, learning_rate: 0.004}
      schedule: {name: constant, warmup_steps: 5}
      global_batch_windows: 8
    overrides: %s
effects: []
"""


def test_numbers_in_the_names_of_base_models_and_ways_mix_up_no_seed(plan: MakePlan) -> None:
    ways = f"sft: {{others: {{x: {WAY % 0.001}, 2 x: {WAY % 0.5}}}}}\n"
    tuned = plan(ways + MODEL % ("tiny 1", 64, "null")).by_stage("sft")
    found = {
        label: (node.spec.training.optimizer.learning_rate, node.spec.sft_seed)
        for node in tuned
        for label in node.labels
    }
    for label, (rate, seed) in found.items():
        assert seed == int(label.removesuffix("/sft").rpartition(" ")[2])
        assert rate == (0.5 if "/2 x/" in label else 0.001 if "/x/" in label else 0.002)
    assert len(found) == 24


@pytest.mark.parametrize(
    "overrides",
    ["{ipt: {training: {optimizer: {learning_rate: 0.0004}}}}", "{sft: {training: {dtype: bfloat16}}}"],
)
def test_models_of_one_start_that_are_trained_in_two_ways_are_told_as_no_table_tells_them_apart(
    plan: MakePlan, overrides: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(MODEL % ("twin", 32, overrides))
    (problem,) = caught.value.problems
    assert problem.key == "base_models.twin"
    assert "base models 'tiny' and 'twin' train or ask them in two ways" in problem.message
    assert "make two studies" in problem.message


def test_the_order_in_which_seeds_are_listed_means_nothing(plan: MakePlan) -> None:
    seeds = "seeds: {{{}}}\nbenchmarks: {{demo_dialogue_en: {{temperature: 0.5}}}}"
    names = ("mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run")
    one, other = (plan(seeds.format(", ".join(f"{name}: {order}" for name in names))) for order in ([1, 2], [2, 1]))
    assert keys(one) == keys(other)
