"""What the host of the report tells a reader of the runs behind the numbers."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from labs import TRAINING

from mixlab.artifacts.provenance import ADOPTED
from mixlab.config.machine import MachineSettings
from mixlab.evaluation.sandbox import LABEL_BUBBLEWRAP, LABEL_FALLBACK, LABEL_WEAKER
from mixlab.plan import specs
from mixlab.plan.graph import Node, Plan
from mixlab.stages.job import Inputs, Session
from mixlab.stages.report import find_cautions

MODEL = {"position": 0, "stage": "after_sft", "variant_key": "aa", "base_model_key": "bb"}
MODEL |= {"mixture_seed": 1, "ipt_seed": 1, "sft_seed": 1}


def plan_report(training: Mapping[str, object] = TRAINING) -> tuple[Plan, Node, list[Node]]:
    """A report over two scores, and a score of another study beside them."""
    plan = Plan()
    model = plan.add(specs.IptSpec.model_validate({"training": training, "ipt_seed": 1}), {}, "a run")
    scores = [
        plan.add(
            specs.ScoreSpec.model_validate({"scoring": {"scorer": "python_tests", "stop": [str(at)]}}),
            {"responses": (model.key,)},
            f"score {at}",
        )
        for at in range(3)
    ]
    aggregate = plan.add(
        specs.AggregateSpec.model_validate({"aggregate": {"models": [MODEL]}}),
        {"scores": tuple(one.key for one in scores[:2])},
        "all",
    )
    report = plan.add(
        specs.ReportSpec.model_validate(
            {"report": {"title": "A study", "variants": [{"label": "one", "variant_key": "aa"}]}}
        ),
        {"aggregate": (aggregate.key,)},
        "report",
    )
    return plan, report, scores


def cautions(said: Mapping[int, list[str]], tmp_path: Path) -> list[str]:
    """Cautions where the runs of score number `at` told of these sandboxes."""
    plan, report, scores = plan_report()
    told = {scores[at].key: [{"sandbox": one} for one in labels] for at, labels in said.items()}
    inputs = Inputs(
        plan, report, {}, {}, tmp_path, {}, MachineSettings(), 1, Session(), lambda node: told.get(node.key, [])
    )
    return find_cautions(inputs)


@pytest.mark.parametrize(
    "said", [{}, {0: [LABEL_BUBBLEWRAP], 1: [LABEL_BUBBLEWRAP]}, {2: [LABEL_FALLBACK]}], ids=["none", "good", "others"]
)
def test_a_report_says_nothing_of_protected_runs_and_of_other_studies(
    said: dict[int, list[str]], tmp_path: Path
) -> None:
    assert cautions(said, tmp_path) == []


def test_a_report_says_how_many_scores_were_made_without_protection(tmp_path: Path) -> None:
    (told,) = cautions({0: [LABEL_BUBBLEWRAP, LABEL_FALLBACK], 1: [LABEL_BUBBLEWRAP]}, tmp_path)
    assert told.startswith("1 of 2 scores come from a run in which models' code was tested UNPROTECTED: ")
    (told,) = cautions({0: [LABEL_FALLBACK], 1: [LABEL_FALLBACK]}, tmp_path)
    assert told.startswith("2 of 2 scores")
    bare, weaker = cautions({0: [LABEL_WEAKER], 1: [LABEL_FALLBACK]}, tmp_path)
    assert bare.endswith(f"tested {LABEL_FALLBACK}.")
    assert weaker == f"1 of 2 scores come from a run in which models' code was tested {LABEL_WEAKER}."


def test_a_report_names_adopted_models_and_trainers_that_are_not_ours(tmp_path: Path) -> None:
    trainer = {"type": "external", "name": "second", "version": "7", "export": "windows"}
    plan, report, scores = plan_report({**TRAINING, "trainer": trainer})
    (model,) = plan.by_stage("ipt")
    said = {model.key: [{"sandbox": "of an earlier run"}, {ADOPTED: "run 4711"}], scores[2].key: [{ADOPTED: "no"}]}
    inputs = Inputs(
        plan, report, {}, {}, tmp_path, {}, MachineSettings(), 1, Session(), lambda node: said.get(node.key, [])
    )
    assert find_cautions(inputs) == [
        f"ipt {model.key} was adopted, not made from its spec here: run 4711",
        "Models trained by second 7 (external): 1.",
    ]
    said[model.key].append({"trainer": "second 7 (external)"})  # made anew since
    assert find_cautions(inputs) == ["Models trained by second 7 (external): 1."]
