"""Which rows of scores share a verdict's name, by the names that judging gives."""

import pandas as pd
from judge_lab import build_settings

from mixlab.analysis.items import count_once
from mixlab.evaluation.judges.questions import Questions
from mixlab.evaluation.judging import JudgePrompt


def test_equal_answers_of_two_generation_seeds_share_a_verdict_and_two_judge_runs_never_do() -> None:
    prompt = JudgePrompt("a", 1, "Judge.", "the same answer")
    shared = {
        "variant_key": "v", "stage": "after_sft", "mixture_seed": 1, "ipt_seed": 1, "sft_seed": 1,
        "benchmark": "talk", "measure": "judge_score", "item": "a", "turn": 1, "score": 3.0,
    }  # fmt: skip
    drawn = pd.DataFrame(
        [
            {
                **shared,
                "generation_seed": seed,
                "judge_run": run,
                "verdict_id": Questions(build_settings(), run).build(prompt, []).question.hex(),
            }
            for seed in (1, 2)
            for run in (1, 2)
        ]
    )
    assert drawn["verdict_id"].nunique() == 2
    assert count_once(drawn)[["generation_seed", "judge_run"]].to_numpy().tolist() == [[1, 1], [1, 2]]
