"""The file by which a user says what a checkpoint of theirs is: stage, spec and parents, which are its key."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from mixlab.artifacts.keys import build_key, split_reference
from mixlab.artifacts.states import States
from mixlab.config.base import Settings
from mixlab.config.loading import Document, load_document, problem_at, sort_problems
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.config.validation import validate
from mixlab.plan.canonical import render_spec, to_plain
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import Spec
from mixlab.plan.stages import STAGES
from mixlab.plan.trainers import training_of

ADOPTABLE = ("pretrain", "ipt", "average", "sft")
"""Stages that make models."""

_SHOWN = 5


class AdoptedSpec(Settings):
    """What an adopted checkpoint is said to be; `mixlab adopt --template` writes one."""

    stage: str = Field(description="its stage")
    key: str | None = Field(default=None, description="its key; absent: what spec and parents give")
    spec: dict[str, Any] = Field(description="its spec, version included")
    parents: dict[str, tuple[str, ...]] = Field(description="role -> keys, or key:member, of what it was made from")


def build_template(node: Node) -> dict[str, Any]:
    """Return the content of such a file for an artifact of the plan.

    Raises ConfigError where it is no model, or more than models.
    """
    if node.stage not in ADOPTABLE:
        allowed = ", ".join(ADOPTABLE)
        raise ConfigError(f"{node.stage} {node.key} is no model; checkpoints can be adopted as {allowed}")
    _require_models_alone(node)
    parents = {role: list(references) for role, references in node.parents.items()}
    return {"stage": node.stage, "key": node.key, "spec": to_plain(node.spec), "parents": parents}


def find_adopted(path: Path, stage: str, plan: Plan, states: States) -> Node:
    """Return the artifact of the plan that a file describes.

    Raises ConfigError with every problem: another stage or version, values out of range, unknown parents, a key that
    spec and parents do not give, one that no study asks for, or one that is more than models.
    """
    document = load_document(path)
    form, problems = validate(AdoptedSpec, document)
    if form is None:
        raise ConfigError(problems)
    if form.stage != stage:
        problems.append(problem_at(document, ("stage",), f"is {form.stage!r}, and --as says {stage!r}"))
        raise ConfigError(problems)
    kind = STAGES[stage].spec
    current = kind.model_fields["version"].default
    if (written := form.spec.get("version")) != current:
        message = f"is {written}, and this mixlab makes {stage} in version {current}: it would not be the same model"
        problems.append(problem_at(document, ("spec", "version"), message))
    spec, found = validate(kind, document, ("spec",))
    problems += [*found, *_find_unknown(document, form.parents, plan, states)]
    if problems or spec is None:
        raise ConfigError(sort_problems(problems))
    node = _find_node(document, form, spec, plan)
    _require_models_alone(node)
    return node


def _require_models_alone(node: Node) -> None:
    """Raise ConfigError for a run whose artifact holds what is not looked at here."""
    training = training_of(node.spec)
    if training is None:
        return
    # another trainer hands over models alone
    if training.keep_epochs:
        what, name = "models of single passes", "keep_epochs"
    elif training.lora is not None and training.trainer is None:
        what, name = "an adapter", "lora"
    else:
        return
    raise ConfigError(
        f"{node.stage} {node.key} ({node.label}): keeps {what} ({name}) beside its last model, which cannot be "
        f"adopted; let mixlab train it, or remove {name} from the study's training and adopt the model of such a run"
    )


def _find_unknown(
    document: Document, parents: Mapping[str, tuple[str, ...]], plan: Plan, states: States
) -> Iterator[Problem]:
    known = {key for names in (states.complete, states.tracked, states.discarded) for _, key in names} | set(plan.nodes)
    for role, references in parents.items():
        for at, reference in enumerate(references):
            key, _ = split_reference(reference)
            if key not in known:
                hint = did_you_mean(key, known)
                message = f"'{key}' is no artifact of a study, and none that is here{hint}"
                yield problem_at(document, ("parents", role, at), message)


def _find_node(document: Document, form: AdoptedSpec, spec: Spec, plan: Plan) -> Node:
    key = build_key(form.stage, render_spec(spec), form.parents)
    if form.key not in (None, key):
        differences = _compare(plan.nodes[form.key], form, spec) if form.key in plan.nodes else []
        more = f"; what differs: {', '.join(differences[:_SHOWN])}" if differences else ""
        message = f"is {form.key}, but spec and parents give {key}{more}; write the template anew, or remove the key"
        raise ConfigError(problem_at(document, ("key",), message))
    if key not in plan.nodes:
        message = f"no study looked at asks for {form.stage} {key}; write the study first, or name it by --study"
        raise ConfigError(problem_at(document, (), message))
    return plan.nodes[key]


def _compare(node: Node, form: AdoptedSpec, spec: Spec) -> list[str]:
    """Name what differs between a file and the artifact whose key it names."""
    there = {"spec": to_plain(node.spec), "parents": {role: list(keys) for role, keys in node.parents.items()}}
    here = {"spec": to_plain(spec), "parents": {role: list(keys) for role, keys in form.parents.items()}}
    one, other = dict(_flatten(there)), dict(_flatten(here))
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flatten(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value
