"""The demo's claims in three worlds, and the chain on real data: minutes each, so only `make test-all` runs them."""

import json
from pathlib import Path

import pytest
from checkouts import REPOSITORY, SHIPPED, copy_checkout, run_mixlab
from runs import run

WORLDS = ("demo", "demo_seed1", "demo_seed2")
pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]


def copy_study(root: Path, *names: str) -> Path:
    """Copy the checkout with further studies, whose data roots are this machine's."""
    copy_checkout(root, SHIPPED)
    for name in names:
        (root / f"studies/{name}.yaml").write_text((REPOSITORY / f"studies/{name}.yaml").read_text())
    shared = REPOSITORY.parent / "shared" / "data"
    with (root / "config.yaml").open("a") as file:
        file.write(f"    shared: {json.dumps(str(shared))}\n    stdlib: sysconfig:stdlib\n")
    return root


@pytest.mark.parametrize("world", WORLDS)
def test_every_claimed_effect_is_met_by_three_standard_errors(tmp_path: Path, world: str) -> None:
    root = copy_study(tmp_path / "worlds", *WORLDS)
    code, output = run(root, "all", "--config", f"study={world}", "--cores", "2")
    assert code == 0, output
    effects = json.loads(run_mixlab(root, "show", world, "--json"))["effects"][world]
    print(json.dumps(effects, indent=1))
    assert len(effects) >= 3
    for effect in effects:
        assert effect["verdict"] == "met", effect
        assert float(effect["ratio"]) >= 3, effect
        assert int(effect["variant_n_seeds"]) >= 2, effect
    check_predictions(root, world)


def check_predictions(root: Path, world: str) -> None:
    """What was predicted before anything was made is what came: processes, items, prompts, verdicts."""
    compared = json.loads(run_mixlab(root, "price", world, "--actual", "--json"))
    jobs = {line["stage"]: (line["jobs"], line["predicted_jobs"]) for line in compared["stages"]}
    assert sum(actual for actual, _ in jobs.values()) == 179
    assert all(actual == predicted for actual, predicted in jobs.values()), jobs
    asked = compared["benchmarks"]
    assert sum(line["items"] for line in asked) == sum(line["predicted_items"] for line in asked) == 18_816
    assert {line["benchmark"]: line["prompts"] for line in asked} == {
        line["benchmark"]: line["predicted_prompts"] for line in asked
    }
    assert compared["verdicts"] == [{"stage": "judge", "predicted_verdicts": 2304, "verdicts": 2304}]


def test_the_same_chain_runs_on_real_data_and_its_scorers_are_right(tmp_path: Path, shared_data: Path) -> None:
    root = copy_study(tmp_path / "real", "real_small")
    run_mixlab(root, "lock", "python_stdlib", "--study", "real_small")
    code, output = run(root, "all", "--config", "study=real_small", "--cores", "2")
    assert code == 0, output
    checks = json.loads(run_mixlab(root, "check-benchmarks", "--study", "real_small", "--json"))["checked"]
    assert {name: check["reference_right"] for name, check in checks.items()} == {
        "gsm8k": 1319,
        "humaneval": 164,
        "jhumaneval": 163,
        "jhumaneval, repaired": 164,
        "mgsm_ja": 250,
    }
    assert not any(check["spoiled_right"] for check in checks.values())
    (report,) = root.glob("artifacts/report/*/report.md")
    assert "JHumanEval/64" in report.read_text()
