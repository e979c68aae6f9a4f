"""`mixlab adopt` refuses what is no spec of an artifact before it looks at a single weight."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain

Invoke = Callable[..., Result]

LABEL = "even/mixture_seed 1/ipt_seed 1/ipt"


@pytest.fixture
def template(micro: Path, invoke: Invoke) -> Path:
    """A template of a run of ipt, and a folder that would be adopted."""
    (micro / "checkpoint").mkdir()
    result = invoke("adopt", "--template", LABEL, "--study", "micro", "--spec", "spec.json")
    assert result.exit_code == 0
    return micro / "spec.json"


def adopt(invoke: Invoke) -> str:
    result = invoke("adopt", "checkpoint", "--as", "ipt", "--spec", "spec.json", "--reason", "ours")
    assert (result.exit_code, result.stdout) == (2, "")
    assert not Path("artifacts").exists()
    return result.stderr


def edit(template: Path, path: tuple[str, ...], value: object) -> None:
    """Change one value of the template; None removes it."""
    card = place = json.loads(template.read_text())
    for name in path[:-1]:
        place = place[name]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    template.write_text(json.dumps(card, indent=1))


RATE = ("spec", "training", "optimizer", "learning_rate")


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("stage",), "sft", "spec.json:2: stage: is 'sft', and --as says 'ipt'"),
        (("spec", "version"), 9, "spec.version: is 9, and this mixlab makes ipt in version 1"),
        (RATE, 0.5, "but spec and parents give"),
        (RATE, 0.5, "what differs: spec.training.optimizer.learning_rate; write the template anew"),
        (("spec", "training", "passes"), "many", "spec.training.passes: expected a number like 0.5, 1/2 or 50 %"),
        (("spec", "training", "shedule"), {}, "spec.training.shedule: unknown key 'shedule'"),
        (("parents", "mixture"), ["0123456789abcdef"], "parents.mixture[0]: '0123456789abcdef' is no artifact"),
        (("parents", "mixture"), None, "what differs: parents.mixture; write the template anew"),
        (("parents",), None, "spec.json:1: parents: missing"),
        (("key",), "0123456789abcdef", "key: is 0123456789abcdef, but spec and parents give"),
    ],
)
def test_a_spec_that_is_not_that_of_an_artifact_is_refused(
    template: Path, invoke: Invoke, path: tuple[str, ...], value: object, told: str
) -> None:
    edit(template, path, value)
    assert told in adopt(invoke)


def test_several_mistakes_are_told_at_once(template: Path, invoke: Invoke) -> None:
    edit(template, ("spec", "version"), 9)
    edit(template, RATE, -1)
    edit(template, ("parents", "mixture"), ["0123456789abcdef"])
    assert adopt(invoke).startswith("mixlab: 3 problems\n")


def test_an_artifact_that_no_study_asks_for_is_refused(template: Path, invoke: Invoke) -> None:
    edit(template, RATE, 0.5)
    edit(template, ("key",), None)
    assert "no study looked at asks for ipt" in adopt(invoke)
    template.unlink()
    assert "spec.json" in adopt(invoke)


@pytest.mark.parametrize(
    "arguments", [("checkpoint", "--template", LABEL), ("checkpoint",), ("checkpoint", "--as", "ipt", "--reason", " ")]
)
def test_a_command_line_that_says_too_little_or_too_much_is_refused(
    template: Path, invoke: Invoke, arguments: tuple[str, ...]
) -> None:
    result = invoke("adopt", *arguments, "--spec", "spec.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "mixlab adopt --help" in result.stderr


def test_a_template_overwrites_nothing_and_is_of_a_model(template: Path, invoke: Invoke) -> None:
    assert "is there already" in invoke("adopt", "--template", LABEL, "--spec", "spec.json").stderr
    told = invoke("adopt", "--template", "even/mixture_seed 1/mixture", "--spec", "new.json").stderr
    assert "is no model; checkpoints can be adopted as pretrain, ipt, average, sft" in told
    card = json.loads(invoke("adopt", "--template", LABEL, "--spec", "new.json", "--json").stdout)
    assert card == json.loads(template.read_text())


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ("passes: 2\n    keep_epochs: true", "keeps models of single passes (keep_epochs)"),
        ("lora: {rank: 2, alpha: 4}", "keeps an adapter (lora)"),
    ],
)
def test_a_run_that_keeps_more_than_models_is_not_adopted(
    micro: Path, invoke: Invoke, training: str, told: str
) -> None:
    label = f"{LABEL.removesuffix('ipt')}sft_seed 1/sft"
    (micro / "checkpoint").mkdir()
    study = micro / "studies/micro.yaml"
    study.write_text(study.read_text().replace("loss: response", f"loss: response\n    {training}"))
    result = invoke("adopt", "--template", label, "--study", "micro", "--spec", "spec.json")
    assert (result.exit_code, Path("spec.json").exists()) == (2, False)
    assert told in result.stderr
    assert "let mixlab train it" in result.stderr
    nodes = build_plan(micro, ["micro"], check_files=False).plan.by_stage("sft")
    (node,) = (one for one in nodes if label in one.label)
    parents = {role: list(keys) for role, keys in node.parents.items()}
    Path("spec.json").write_text(json.dumps({"stage": "sft", "spec": to_plain(node.spec), "parents": parents}))
    result = invoke("adopt", "checkpoint", "--as", "sft", "--spec", "spec.json", "--reason", "ours")
    assert (result.exit_code, Path("artifacts").exists()) == (2, False)
    assert told in result.stderr
