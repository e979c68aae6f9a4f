"""What may be written of a trainer that is not ours: in a study, where it enters the key, and of this machine."""

from typing import Any

import pytest
from pydantic import ValidationError

from mixlab.config.machine import MachineSettings
from mixlab.config.trainers import ExternalTrainer, TrainerCommands, fill_template, find_template_problems
from mixlab.config.training import TrainSettings
from mixlab.plan.canonical import to_plain

TRAINER = {"type": "external", "name": "second", "version": "1.2", "export": "windows"}
TRAINING = {
    "optimizer": {"name": "adamw", "learning_rate": 1e-05},
    "schedule": {"name": "constant"},
    "global_batch_windows": 8,
}
VALUES = {
    "out": "/o",
    "steps": 7,
    "training": TrainSettings.model_validate(TRAINING).model_dump(mode="json"),
    "settings": {"fused": True, "layers": [1, {"a": "x y"}]},
}


def refuse(model: type[Any], settings: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(settings)
    return str(caught.value)


def test_a_trainer_enters_the_spec_and_its_absence_does_not() -> None:
    assert "trainer" not in to_plain(TrainSettings.model_validate(TRAINING))
    plain = to_plain(TrainSettings.model_validate({**TRAINING, "trainer": {**TRAINER, "settings": {"lr": 1e-05}}}))
    assert plain["trainer"] == {**TRAINER, "settings": {"lr": 1e-05}}
    assert TrainSettings.model_validate(plain).trainer == ExternalTrainer.model_validate(
        {**TRAINER, "settings": {"lr": 1e-05}}
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"export": "parquet"}, "'windows' or 'megatron'"),
        ({"name": "a b"}, "should match pattern"),
        ({"version": ""}, "at least 1 character"),
        ({"settings": {"hub": {"api_key": "xyz"}}}, "which has no place in a file"),
    ],
)
def test_a_trainer_that_cannot_be_meant_is_refused(changes: dict[str, Any], told: str) -> None:
    assert told in refuse(ExternalTrainer, {**TRAINER, **changes})


def test_placeholders_are_filled_from_paths_numbers_and_the_study() -> None:
    text = "--x={out}/{steps} {training.optimizer.learning_rate} {training.optimizer.betas.1} {training.passes} {{a}}"
    assert fill_template(text, VALUES) == "--x=/o/7 1e-05 0.95 1 {a}"
    assert fill_template("{settings.fused} {settings.layers.1.a}", VALUES) == "true x y"
    assert fill_template("{training.gradient_clip} {training.optimizer.eps}", VALUES) == "1 1e-08"


def test_placeholders_without_a_value_are_told_all_at_once() -> None:
    words = ["{out}", "{settings.lr}", "{settings.layers}", "{training.snapshots}", "{settings.layers.2}"]
    commands = TrainerCommands.model_validate({"commands": [words], "environment": {"LR": "{training.optimizer}"}})
    assert find_template_problems(commands, VALUES) == [
        "placeholder {settings.lr}: there is no 'lr'; there is fused, layers",
        "placeholder {settings.layers}: is a list, which is no word; name one value",
        "placeholder {training.snapshots}: is null, which is no word; name one value",
        "placeholder {settings.layers.2}: there is no '2'; there is 0, 1",
        "placeholder {training.optimizer}: is a mapping, which is no word; name one value",
    ]


def test_the_models_configuration_is_looked_at_when_it_is_known() -> None:
    commands = TrainerCommands.model_validate({"commands": [["{out}", "{config.hidden_size}", "{config.depth}"]]})
    assert find_template_problems(commands, VALUES) == []
    told = find_template_problems(commands, VALUES | {"config": {"hidden_size": 64}})
    assert told == ["placeholder {config.depth}: there is no 'depth'; there is hidden_size"]


def test_every_mistake_in_a_command_is_told_at_once() -> None:
    told = refuse(
        MachineSettings,
        {
            "trainers": {
                "second": {
                    "commands": [["train", "{outt}", "{training}"], ["{out!r}", "{"], []],
                    "environment": {"HF_TOKEN": "x", "A-B": "{seed:3}"},
                    "stop_seconds": 0,
                }
            }
        },
    )
    for text in (
        "no placeholder is named 'outt'; there are spec, mixture, model, out,",
        "no placeholder is named 'training'",
        "a placeholder is a name alone, got 'out' with more behind it",
        "write {{ and }} for braces",
        "trainers.second.commands.2\n",
        "trainers.second.environment.A-B.[key]",
        "a placeholder is a name alone, got 'seed'",
        "trainers.second.stop_seconds",
    ):
        assert text in told, text


def test_an_environment_with_a_secret_and_commands_that_cannot_know_where_to_write_are_refused() -> None:
    told = refuse(
        TrainerCommands, {"commands": [["a", "{out}"]], "environment": {"WANDB_API_KEY": "x", "TOKENIZERS": ""}}
    )
    assert "`environment` holds WANDB_API_KEY: set it where snakemake is started" in told
    assert "commands name neither {out} nor {spec}" in refuse(TrainerCommands, {"commands": [["a", "{mixture}"]]})
