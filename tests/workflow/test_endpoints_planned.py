"""Endpoints, their keys and prices: what a plan says of them before any job, and what two studies cannot mean."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from editing import STUDY, replace

from mixlab.config.problems import ConfigError
from mixlab.plan.build import build_plan
from mixlab.plan.needs import require_machine
from mixlab.plan.workflow import open_workflow

Invoke = Callable[..., Result]

JUDGE = "\njudge: {engine: openai, model: big-judge, endpoint: judges}\n"
SERVED = "\nserved_models:\n  big:\n    endpoint: servers\n    model: tiny\n"
ENDPOINTS = """
  endpoints:
    judges: {url: 'http://127.0.0.1:9/v1', api_key_env: JUDGE_KEY}
    servers: {url: 'http://127.0.0.1:9/v1'}
"""


def write(root: Path, study: str, machine: str = "") -> None:
    for path, text in ((STUDY, study), ("config.yaml", machine)):
        with (root / path).open("a", encoding="utf-8") as stream:
            stream.write(text)


def line_of(root: Path, path: str, text: str) -> int:
    return 1 + (root / path).read_text().split(text)[0].count("\n")


def finish(root: Path) -> None:
    """Let the study's report be here, so that nothing is wanted any more."""
    planned = build_plan(root)
    for (key,) in planned.plan.targets.values():
        manifest = root / f"artifacts/{planned.plan.nodes[key].stage}/{key}/manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_text("{}")


def test_every_endpoint_that_is_asked_and_not_named_is_told_with_file_line_and_key(micro: Path, invoke: Invoke) -> None:
    write(
        micro, SERVED + JUDGE, "  endpoints: {judge: {url: 'http://127.0.0.1:9/v1'}, other: {url: 'http://a.b/v1'}}\n"
    )
    result = invoke("plan")
    assert result.exit_code == 2
    judge, served = (line_of(micro, STUDY, text) for text in ("endpoint: judges", "endpoint: servers"))
    unknown = "machine.endpoints of config.yaml has no"
    assert f"{STUDY}:{judge}: judge.endpoint: {unknown} 'judges'; did you mean 'judge'?; add it there" in result.stderr
    assert (
        f"{STUDY}:{served}: served_models.big.endpoint: {unknown} 'servers'; add it there; needed by" in result.stderr
    )
    # what would run is shown all the same
    assert "generate" in result.stdout and "would run" in result.stdout
    with pytest.raises(ConfigError, match=r"served_models\.big\.endpoint(.|\n)*judge\.endpoint"):
        open_workflow(micro, {}, True, {})


def test_a_judge_without_a_price_under_a_cap_in_money_is_told_at_the_cap(micro: Path, invoke: Invoke) -> None:
    for number, cap in enumerate(("budget", "budgets")):
        budget = "{max_cost: 5}" if cap == "budget" else "{micro: {max_cost: 5}}"
        text = JUDGE if not number else ""
        if number:
            (micro / "config.yaml").write_text((micro / "config.yaml").read_text().partition("  judging:")[0])
        write(micro, text, ("" if number else ENDPOINTS) + f"  judging:\n    {cap}: {budget}\n")
        result = invoke("plan")
        assert result.exit_code == 2
        key = "machine.judging.budget.max_cost" if cap == "budget" else "machine.judging.budgets.micro.max_cost"
        line = line_of(micro, "config.yaml", f"{cap}: {budget}")
        assert f"config.yaml:{line}: {key}: 'big-judge' has no price; give one under machine.jud" in result.stderr
    price = "{big-judge: {prompt_per_million: 1, response_per_million: 1, date: '2026-01-01', source: a bill}}"
    write(micro, "", f"    prices: {price}\n")
    assert invoke("plan").exit_code == 0


def test_a_key_that_is_not_here_is_a_warning_and_no_error(
    micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(micro, JUDGE, ENDPOINTS)
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    told = "the environment variable JUDGE_KEY, the key of endpoint 'judges', is not set here; it must be where 'micro/"
    result = invoke("plan", "--json")
    assert result.exit_code == 0 and result.stderr.count(told) == 1
    assert json.loads(result.stdout)["is_done"] is False
    with caplog.at_level(logging.WARNING):
        open_workflow(micro, {}, True, {})
    assert told in caplog.text
    monkeypatch.setenv("JUDGE_KEY", "not-a-real-key-0123456789")
    assert invoke("plan").stderr == ""


def test_a_study_whose_verdicts_are_there_needs_neither_endpoint_nor_key_nor_price(micro: Path, invoke: Invoke) -> None:
    write(micro, SERVED + JUDGE, "  judging: {budget: {max_cost: 5}}\n")
    assert invoke("plan").exit_code == 2
    finish(micro)
    result = invoke("plan")
    assert (result.exit_code, result.stderr) == (0, "")
    assert open_workflow(micro, {}, True, {}).demand.is_empty


def test_what_a_machine_lacks_is_told_at_once_engine_and_endpoint(micro: Path) -> None:
    write(micro, JUDGE + "\nengine: {engine: vllm}\n", "  vllm: {python: elsewhere/python}\n")
    planned = build_plan(micro)
    with pytest.raises(ConfigError) as caught:
        require_machine(planned, list(planned.plan.nodes), micro, {}, {})
    assert [problem.key for problem in caught.value.problems] == ["machine.vllm.python", "judge.endpoint"]


def declare(root: Path, text: str) -> None:
    """Add labellers to those of the study, or another section behind it."""
    if text.startswith("  "):
        replace(STUDY, "labellers:\n", f"labellers:\n{text}")(root)
    else:
        write(root, text)


LABELLER = "{engine: {type: openai, model: tiny}, endpoint: %s}"


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        (
            "\njudge: {engine: openai, model: big-judge, endpoint: judges}\n",
            "judge: {endpoint: others}\n",
            r"other\.yaml:\d+: judge\.endpoint: is the same model, asked in the same manner, as the judge of study "
            r"'micro' at endpoint 'judges', so both would be one; set `revision` to tell them apart, or name one",
        ),
        (
            f"  one: {LABELLER % 'judges'}\n",
            "labellers: {one: {endpoint: others}}\n",
            r"other\.yaml:\d+: labellers\.one\.endpoint: is the same model, .* as labeller 'one' of study 'micro' at",
        ),
    ],
)
def test_one_model_at_the_endpoints_of_two_studies_is_refused_with_both_named(
    here: str, there: str, told: str, micro: Path, invoke: Invoke
) -> None:
    write(micro, "", ENDPOINTS + "    others: {url: 'http://127.0.0.1:8/v1'}\n")
    declare(micro, here)
    (micro / "studies/other.yaml").write_text(f"extends: micro.yaml\n{there}", encoding="utf-8")
    for name, endpoint in (("micro", "judges"), ("other", "others")):
        assert endpoint in build_plan(micro, [name], check_files=False).files.values()
        assert open_workflow(micro, {"study": name}, True, {}).plan_file
    with pytest.raises(ConfigError, match=told):
        open_workflow(micro, {"study": "micro,other"}, True, {})
    result = invoke("plan", "micro", "other")
    assert result.exit_code == 2 and re.search(told, result.stderr)


def test_what_asks_nobody_takes_studies_of_one_model_at_two_endpoints_and_knows_neither(
    micro: Path, invoke: Invoke
) -> None:
    write(micro, JUDGE, ENDPOINTS)
    (micro / "studies/other.yaml").write_text("extends: micro.yaml\njudge: {endpoint: others}\n", encoding="utf-8")
    both = build_plan(micro, ["micro", "other"], check_files=False)
    assert set(both.studies) == {"micro", "other"}
    assert not {"judges", "others"} & set(both.files.values())
    result = invoke("explain", "micro/report")
    assert (result.exit_code, result.stderr) == (0, "")


def test_two_labellers_of_one_study_that_are_one_model_are_at_one_endpoint(micro: Path, invoke: Invoke) -> None:
    declare(micro, f"  one: {LABELLER % 'judges'}\n  two: {LABELLER % 'others'}\n")
    told = r"labellers\.two\.endpoint: .*as labeller 'one' at endpoint 'judges'"
    with pytest.raises(ConfigError, match=told):
        open_workflow(micro, {}, True, {})
    assert re.search(told, invoke("plan").stderr)
    assert build_plan(micro, check_files=False).studies
