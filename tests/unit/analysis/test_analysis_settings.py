"""What a study may say about effects, and what of it reaches a key."""

import pytest
from pydantic import ValidationError

from mixlab.config.analysis import (
    AggregateSettings,
    EffectSettings,
    ModelEntry,
    ModelIdentity,
    ReportSettings,
    VariantLabel,
    build_comparisons,
)

KEYS = {"balanced": "aa11", "no math": "bb22"}


def effect(**changes):
    stated = {"name": "math", "variant": "balanced", "against": "no math", "stage": "before_sft", "at_least": 0.3}
    return EffectSettings(**{**stated, **changes})


def test_renaming_an_effect_or_a_variant_leaves_the_comparison_alone():
    renamed = EffectSettings(name="another", variant="b", against="n", stage="before_sft", at_least="30 %")
    assert renamed.to_comparison({"b": "aa11", "n": "bb22"}) == effect().to_comparison(KEYS)


def test_neither_the_order_of_effects_nor_of_filters_reaches_the_key():
    one, two = effect(languages=["en", "ja"]), effect(categories=["math"])
    other = effect(languages=["ja", "en"])
    assert build_comparisons([one, two], KEYS) == build_comparisons([two, other, one], KEYS)


def test_an_unknown_variant_is_named_with_the_nearest_one():
    with pytest.raises(ValueError, match="no variant 'no math'; did you mean 'no maths'"):
        effect().to_comparison({"balanced": "aa11", "no maths": "bb22"})


@pytest.mark.parametrize("changes", [{"at_least": 1.5}, {"against": "balanced"}, {"at_least": -0.1}])
def test_an_effect_that_cannot_be_met_is_refused(changes):
    with pytest.raises(ValidationError):
        effect(**changes)


def test_judge_points_may_differ_by_more_than_one():
    assert effect(measure="judge_score", at_least=2).at_least == 2
    with pytest.raises(ValidationError, match="at most 9"):
        effect(measure="judge_score", at_least=10)


def test_an_sft_seed_belongs_to_models_after_sft_only():
    with pytest.raises(ValidationError, match="give sft_seed after SFT and only there"):
        ModelIdentity(stage="before_sft", variant_key="v", base_model_key="b", sft_seed=0)


def test_a_model_gathered_twice_would_count_as_two_seeds_and_is_refused():
    models = [ModelEntry(position=place, stage="before_sft", variant_key="v", base_model_key="b") for place in (0, 1)]
    with pytest.raises(ValidationError, match="gathered twice"):
        AggregateSettings(models=tuple(models))


def test_a_report_checks_the_labels_of_its_effects():
    with pytest.raises(ValidationError, match="no variant 'no math'"):
        ReportSettings(title="t", variants=(VariantLabel(label="balanced", variant_key="aa11"),), effects=(effect(),))
