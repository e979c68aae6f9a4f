"""The card of a model: Hugging Face's library reads it back, and it says what its lineage says."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from report_fakes import CERTIFICATE, DATA, write_data
from scipy import stats

from mixlab.analysis.cells import Cell
from mixlab.analysis.statistics import Estimate
from mixlab.report.data import load_data_figures
from mixlab.report.model_card import CardFacts, Step, find_interval, render_model_card


def cell(
    benchmark: str, measure: str, mean: float | None, error: float | None, judge: str | None = None, items: int = 100
) -> Cell:
    estimate = Estimate(mean=mean, se_seeds=None, seed_level=None, n_seeds=1, se_items=error, n_items=items)
    return Cell("v1", "after_sft", benchmark, measure, "en", None, judge, estimate, (), 100, 3)


@pytest.fixture
def facts(tmp_path: Path) -> CardFacts:
    """A model tuned on a mixture whose certificate is here, after one whose certificate is not."""
    figures = load_data_figures(DATA, write_data(tmp_path / "data", {"mix-aa11": CERTIFICATE}))
    return CardFacts(
        name="混合 A sft_seed 1",
        study="small",
        title="A <small> study",
        reference="0123456789abcdef:epoch-1",
        licence="unknown",
        base_id="acme/base",
        base="base, acme/base of the hub at commit 0a1b",
        languages=["en", "ja"],
        datasets=["acme/data"],
        steps=[
            Step("ipt", "aa", "d1" * 32, {"training.optimizer.learning_rate": 0.004}, "2026-11-22, 3 s, commit abc"),
            Step("sft", "0123456789abcdef", "", {"sft_seed": 1}),
        ],
        shown=DATA,
        mixtures=DATA.mixtures,
        figures=figures,
        cells=[
            cell("gsm8k", "accuracy", 0.97, 0.02),
            cell("mt_bench_en", "judge_score", 6.25, 0.2, "GPT-x"),
            cell("empty", "judge_score", None, None, "GPT-x"),
        ],
        unscored="",
        commit="abc",
        command="snakemake --profile local artifacts/sft/0123456789abcdef/manifest.json",
    )


def test_the_library_reads_back_metadata_and_scores(facts: CardFacts, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(render_model_card(facts), encoding="utf-8")
    data = ModelCard.load(path).data
    assert (data.license, data.base_model, data.pipeline_tag) == ("unknown", "acme/base", "text-generation")
    assert (data.language, data.datasets, data.library_name) == (["en", "ja"], ["acme/data"], "transformers")
    results = {one.dataset_name: one for one in data.eval_results}
    assert set(results) == {"gsm8k", "mt_bench_en"}
    assert results["gsm8k"].metric_value == 0.97
    assert results["gsm8k"].metric_args == {
        "n_items": 100,
        "unparsed": 3,
        "interval_95_low": pytest.approx(0.915481, abs=1e-6),
        "interval_95_high": pytest.approx(0.989745, abs=1e-6),
    }
    assert results["mt_bench_en"].metric_name == "judge_score by GPT-x"


def test_the_card_says_data_licences_contamination_settings_and_how_to_make_it_again(facts: CardFacts) -> None:
    text = render_model_card(facts)
    for said in (
        "| gsm8k | en | accuracy, % | 97.0 | 91.5 to 99.0 | 100 | 100 | 3 |",
        "| empty | en | judge score, 1 to 10, by GPT-x | – | – (no scores) | 100 | 100 | 3 |",
        "| `training.optimizer.learning_rate` | 0.004 |",
        "| web/math | 33.3 | 332 | 0.01 | MIT | permissive | allowed |",
        "| wiki | 66.7 | 666 | 0.03 | unknown | – | exception: asked \\<them\\> |",
        "Contamination: ",
        "Its certificate is not here; sources: web/math.",
        "Its bytes are not here.",
        "mixlab explain 0123456789abcdef\n",
        "at commit `abc`",
    ):
        assert said in text, said
    assert "A <small> study" not in text


def test_a_model_without_scores_says_why_and_has_no_results(facts: CardFacts, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    bare = replace(facts, cells=[], unscored="Its scores are not here: discarded", base_id="", mixtures=[])
    path.write_text(render_model_card(bare), encoding="utf-8")
    card = ModelCard.load(path)
    assert card.data.eval_results is None and card.data.base_model is None
    assert "Its scores are not here: discarded." in card.text
    assert "No mixture of this study is behind this model." in card.text


def test_an_interval_stays_within_the_range_of_its_measure() -> None:
    low, high = find_interval(cell("b", "judge_score", 1.1, 0.3, "J")) or (math.nan, math.nan)
    assert low == 1.0
    assert high == pytest.approx(1.1 + 1.984217 * 0.3)
    low, high = find_interval(cell("b", "accuracy", 1.0, 0.01)) or (math.nan, math.nan)
    assert low == pytest.approx(0.963007)
    assert high == 1.0


def test_intervals_of_ten_items_hold_what_they_say() -> None:
    intervals = [find_interval(cell("b", "accuracy", right / 10, 0.1, items=10)) for right in range(11)]
    true = np.linspace(0.02, 0.98, 97)
    chances = stats.binom.pmf(np.arange(11)[:, None], 10, true)
    held = np.array([[low <= one <= high for one in true] for low, high in filter(None, intervals)])
    covered = (chances * held).sum(axis=0)
    assert covered.mean() > 0.95
    assert covered.min() > 0.91


@pytest.mark.parametrize(("items", "why"), [(1, "one item"), (7, "all items score the same")])
def test_a_judge_score_without_an_interval_says_why(facts: CardFacts, items: int, why: str) -> None:
    one = cell("talk", "judge_score", 5.0, None, "J", items=items)
    assert find_interval(one) is None
    assert f"| 5.00 | – ({why}) | {items} |" in render_model_card(replace(facts, cells=[one]))
