"""Trainers that are not ours: what of one decides the weights, and the command lines by which a machine runs it."""

import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from mixlab.config.base import Settings
from mixlab.config.wording import find_secrets, is_secret

PLACEHOLDERS = {
    "spec": "spec.json: all that is asked for, and the paths below",
    "mixture": "folder of the exported mixture",
    "model": "folder of the model to begin with; pretrain: its config.json alone",
    "out": "folder for the model, or for its snapshots last-00 (the newest), last-01, ...; empty at each attempt",
    "resume": "folder that is kept from attempt to attempt",
    "scratch": "folder that is empty at each attempt, for what goes on its way",
    "seed": "seed of the run",
    "threads": "CPU threads of the job",
    "steps": "optimizer steps of the run",
    "sequence_tokens": "tokens of a window",
}
"""What may stand in braces, and what is put there; further PATHs below LOOKED_UP."""

LOOKED_UP = ("training", "settings", "config")
"""First words of what is looked up: the study's training, the trainer's own settings, the model's config.json."""

Values = Mapping[str, Any]


def find_placeholders(text: str) -> Iterator[str]:
    """Yield the names in braces of `text`; raises ValueError for what is no placeholder."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; write {{{{ and }}}} for braces") from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if form or conversion:
            raise ValueError(f"{text!r}: a placeholder is a name alone, got '{name}' with more behind it")
        yield name


def _check_template(text: str) -> str:
    if "\0" in text:
        raise ValueError("must hold no NUL character")
    wrong = [
        name
        for name in find_placeholders(text)
        if name not in PLACEHOLDERS and not (name.partition(".")[0] in LOOKED_UP and name.partition(".")[2])
    ]
    if wrong:
        known = ", ".join((*PLACEHOLDERS, *(f"{word}.PATH" for word in LOOKED_UP)))
        raise ValueError(f"no placeholder is named {', '.join(repr(name) for name in wrong)}; there are {known}")
    return text


Template = Annotated[str, AfterValidator(_check_template)]
Command = Annotated[tuple[Template, ...], Field(min_length=1)]


class ExternalTrainer(Settings):
    """A trainer that is not ours, as far as it decides the weights; how it is run stands in machine.trainers."""

    type: Literal["external"] = Field(description="it is run as machine.trainers says")
    name: str = Field(pattern=r"^[\w.-]+$", max_length=100, description="name; machine.trainers says how it is run")
    version: str = Field(
        min_length=1, max_length=200, description="its version, such as a release or a commit: another is another model"
    )
    export: Literal["windows", "megatron"] = Field(
        description="form in which it takes the mixture, as of `mixlab export`: windows in training order, or a blend"
    )
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="settings of its own that decide the weights; it finds them in spec.json"
    )

    @field_validator("settings")
    @classmethod
    def _holds_no_secrets(cls, settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if any(True for _ in find_secrets(settings)):
            raise ValueError("`settings` holds a token, key or password, which has no place in a file")
        return settings

    @property
    def title(self) -> str:
        """Name and version, as lineage and provenance show them."""
        return f"{self.name} {self.version} (external)"


class TrainerCommands(Settings):
    """How this machine runs a trainer that is not ours: none of this enters a key.

    No shell reads the words of a command. In them, and in the values of `environment`, `{spec}`, `{mixture}`,
    `{model}`, `{out}`, `{resume}`, `{scratch}`, `{seed}`, `{threads}`, `{steps}` and `{sequence_tokens}` are filled
    in, `{training.PATH}` and `{settings.PATH}` from the study, such as `{training.optimizer.learning_rate}`, and
    `{config.PATH}` from the config.json of the model to begin with, such as `{config.hidden_size}`.
    """

    commands: tuple[Command, ...] = Field(
        min_length=1, description="command lines, each a list of words, run one after another: convert, train, convert"
    )
    folder: str | None = Field(
        default=None, min_length=1, description="working folder of the commands; absent: the folder of config.yaml"
    )
    environment: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Template] = Field(
        default_factory=dict, description="variables added to the environment that the commands inherit; no secrets"
    )
    stop_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="seconds from SIGTERM until a command that has not ended is killed"
    )

    @field_validator("environment")
    @classmethod
    def _names_no_secrets(cls, environment: dict[str, str]) -> dict[str, str]:
        if secret := sorted(name for name in environment if is_secret((name,))):
            raise ValueError(
                f"`environment` holds {', '.join(secret)}: set it where snakemake is started, commands inherit it"
            )
        return environment

    @model_validator(mode="after")
    def _says_where_to_write(self) -> Self:
        words = [word for command in self.commands for word in command]
        if not {"out", "spec"} & {name for word in words for name in find_placeholders(word)}:
            raise ValueError("commands name neither {out} nor {spec}, so nothing can know where the model is to go")
        return self


def fill_template(text: str, values: Values) -> str:
    """Put values into a template; raises ValueError naming a placeholder without a value that can be written."""
    filled = []
    for literal, name, _, _ in string.Formatter().parse(text):
        filled.append(literal)
        if name is not None:
            filled.append(_render(name, _look_up(name, values)))
    return "".join(filled)


def find_template_problems(commands: TrainerCommands, values: Values) -> list[str]:
    """Say which placeholders have no value that can be written.

    Before a run `values` need hold no real paths, and no `config`: what is looked up there is then not looked at.
    """
    problems = {}
    for text in [*(word for one in commands.commands for word in one), *commands.environment.values()]:
        for name in find_placeholders(text):
            if name.partition(".")[0] not in values:
                continue
            try:
                _render(name, _look_up(name, values))
            except ValueError as error:
                problems[name] = str(error)
    return list(problems.values())


def _look_up(name: str, values: Values) -> Any:
    found: Any = values
    for part in name.split("."):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list | tuple) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            names = found if isinstance(found, Mapping) else range(len(found) if isinstance(found, list | tuple) else 0)
            there = ", ".join(map(str, names)) or "nothing"
            raise ValueError(f"placeholder {{{name}}}: there is no '{part}'; there is {there}")
    return found


def _render(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        # programs that want a whole number take no 10000.0
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))
    if isinstance(value, int):
        return str(value)
    what = "null" if value is None else "a list" if isinstance(value, list | tuple) else "a mapping"
    raise ValueError(f"placeholder {{{name}}}: is {what}, which is no word; name one value")
