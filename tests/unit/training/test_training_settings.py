from fractions import Fraction

import pytest
from pydantic import ValidationError
from training_fakes import settings

from mixlab.config.averaging import AveragingSettings
from mixlab.config.models import ModelSettings
from mixlab.config.training import TrainSettings

MODEL = {"hidden_size": 96, "layers": 2, "heads": 3, "feed_forward": 256}


def test_settings_survive_json_unchanged():
    wanted = settings(passes="3/2", snapshots={"every_steps": 15, "keep": 10}, gradient_clip=None)
    assert TrainSettings.model_validate_json(wanted.model_dump_json()) == wanted
    assert wanted.passes == Fraction(3, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 5}, "hidden_size 96 over heads 5 must give an even whole number"),
        ({"heads": 32}, "even whole number"),
        ({"kv_heads": 2}, "kv_heads 2 must divide heads 3"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"width": 4}, "Extra inputs are not permitted"),
        ({"rope_theta": float("nan")}, "rope_theta"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        ModelSettings.model_validate(MODEL | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passes": 0}, "passes: must be more than 0"),
        ({"passes": -1}, "must not be negative"),
        ({"optimizer": {"name": "sgd", "learning_rate": 1.0}}, "'adamw', 'muon'"),
        ({"optimizer": {"name": "adamw", "learning_rate": 0}}, "learning_rate"),
        ({"optimizer": {"name": "adamw", "learning_rate": 0.1, "betas": [0.9, 1.0]}}, "less than 1"),
        ({"optimizer": {"name": "muon", "learning_rate": 0.1}}, "other_learning_rate"),
        ({"schedule": {"name": "constant", "final_ratio": 0.1}}, "Extra inputs"),
        ({"schedule": {"name": "cosine", "final_ratio": 1.5}}, "less than or equal to 1"),
        ({"snapshots": {"every_steps": 0, "keep": 1}}, "every_steps"),
        ({"micro_batch": 4}, "Extra inputs"),
    ],
)
def test_training_that_means_nothing_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        settings(**changes)


def test_averaging_less_than_one_model_is_refused():
    with pytest.raises(ValidationError, match="last"):
        AveragingSettings(last=0)


@pytest.mark.parametrize("model", [ModelSettings, TrainSettings, AveragingSettings])
def test_every_field_says_what_it_is(model):
    schema = model.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part.get("properties", {}).items():
            assert field.get("description"), f"{part['title']}.{name}"
