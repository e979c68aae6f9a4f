"""A finished study's surface, and the loop: propose, and propose again from the study that was proposed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mixlab.cli import mixlab

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(study: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs `mixlab` in a copy of the finished study, in this process; what would be a traceback is raised."""
    monkeypatch.chdir(study)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(mixlab, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_two_mixtures_are_told_to_be_too_few_with_their_scores(study: Path, invoke: Invoke) -> None:
    said = json.loads(invoke("surface", "micro", "--json").stdout)
    names = {(one["target"], one["language"]) for one in said["targets"]}
    assert names == {
        (f"{benchmark}, {stage}", "en")
        for benchmark in ("demo_math_en", "demo_dialogue_en")
        for stage in ("before SFT", "after SFT")
    }
    assert all(one["mixtures"] == 2 and one["optimum"] is None for one in said["targets"])
    assert {one["abstention"]["more"] for one in said["targets"]} == {8}
    # two SFT seeds tell the noise after SFT where they differ; before it there is one model of each mixture
    equal = next((note for note in said["notes"] if "repeats of a mixture do not differ" in note), "")
    for one in said["targets"]:
        is_equal = f"{one['target']} ({one['language']})" in equal
        assert (one["noise"] is None) == (one["target"].endswith("before SFT") or is_equal)
    main = json.loads(invoke("show", "micro", "--json").stdout)["main"]["micro"]
    best = next(one["best_measured"] for one in said["targets"] if one["target"] == "demo_math_en, after SFT")
    rows = [row for row in main if row["stage"] == "after_sft" and row["mean"]]
    assert any(row["variant"] == best["mixture"] for row in rows)


def test_the_loop_goes_on_from_round_to_round_and_never_proposes_twice(study: Path, invoke: Invoke) -> None:
    rounds = []
    for name in ("micro", "micro_round1"):
        done = invoke("propose", name, "--gpu-hours", "1", "--at-most", "2", "--json")
        assert done.exit_code == 0, done.output
        rounds.append(json.loads(done.stdout))
    first, second = rounds
    assert (first["file"], second["file"]) == ("studies/micro_round1.yaml", "studies/micro_round2.yaml")
    assert first["gpu_hours"] > 0
    proposed = [tuple(one["ratios"].values()) for each in rounds for one in each["proposals"]]
    assert len(set(proposed)) == len(proposed) == 4
    planned = json.loads(invoke("plan", "micro_round2", "--json").stdout)
    by_stage = {line["stage"]: line for line in planned["stages"]}
    # what is finished keeps its keys: only the four new mixtures and what follows from them would run
    assert (by_stage["mixture"]["run"], by_stage["ipt"]["run"], by_stage["ipt"]["complete"]) == (4, 4, 2)
    assert by_stage["pretrain"]["run"] == 0
    text = Path("studies/micro_round2.yaml").read_text(encoding="utf-8")
    assert text.count("round 2 no.") == 2
    assert 'extends: "micro_round1.yaml"' in text
    spoken = invoke("propose", "micro_round2", "--gpu-hours", "1", "--at-most", "1")
    assert "4 mixtures planned and not measured yet" in spoken.stdout
    assert "stop rule" in spoken.stdout
    assert "GPU-hours of training by formula for 1 mixture" in spoken.stdout
