"""`mixlab canary` on a finished study: what is the same, what is not, what cannot be made, and what is left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkouts import environment, run_python
from runs import wait_for
from safetensors.numpy import load_file, save_file

from mixlab.artifacts.manifest import read_manifest, write_manifest
from mixlab.artifacts.store import Store
from mixlab.config.canary import CanaryBand
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node
from mixlab.plan.planfile import render_plan, write_plan
from mixlab.stages.canary import Laboratory, Outcome
from mixlab.stages.rerunning import link_inputs, rerun

PLACES = ("artifacts", "provenance", "tracked", "named")


def list_files(root: Path) -> dict[str, tuple[int, int]]:
    """Everything that a canary must not touch: size and moment of each file."""
    files = [path for place in PLACES for path in (root / place).rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def list_nodes(root: Path, stage: str) -> list[Node]:
    return build_plan(root, ["micro"], check_files=False).plan.by_stage(stage)


def reseal(root: Path, node: Node, edit: Callable[[Path], None]) -> None:
    """Edit an artifact so that its manifest fits: as if it had been made so."""
    folder = Store(root).folder(*node.name)
    manifest = read_manifest(folder)
    edit(folder)
    write_manifest(folder, manifest.stage, manifest.key, manifest.spec, manifest.parents)


def try_again(root: Path, node: Node) -> Outcome:
    """Make one artifact again."""
    planned = build_plan(root, ["micro"], check_files=False)
    store = Store(root)
    plan_file = write_plan(store, render_plan(planned.plan, planned.config.machine, planned.files))
    finished = frozenset(one.name for one in planned.plan.nodes.values())
    folder = root / "work/canaries/test"
    return Laboratory(store, planned.plan, plan_file, folder, finished, CanaryBand()).test(node)


def scale(factor: float) -> Callable[[Path], None]:
    """Return an edit that multiplies the weights of a model."""

    def edit(folder: Path) -> None:
        path = folder / "model.safetensors"
        save_file({name: tensor * tensor.dtype.type(factor) for name, tensor in load_file(path).items()}, path)

    return edit


def test_an_average_that_is_not_what_its_snapshots_give_fails_and_taints_what_is_below(study: Path) -> None:
    broken, whole = list_nodes(study, "average")
    reseal(study, broken, scale(1.01))
    before = list_files(study)
    done = run_python(study, "-m", "mixlab.cli", "canary", "--hours", "1", "--stage", "average", "--json", timeout=300)
    assert done.returncode == 1, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    found = {one["key"]: one for one in answer["canaries"]}
    assert {key: one["verdict"] for key, one in found.items()} == {broken.key: "failed", whole.key: "equal"}
    assert "model.safetensors: differs from byte " in found[broken.key]["found"]
    tainted = found[broken.key]["tainted"]
    assert {one["stage"] for one in tainted["descendants"]} == {
        *("sft", "generate", "score", "judge", "scores", "aggregate", "report"),
    }
    assert [one["key"] for one in tainted["siblings"]] == [whole.key]
    assert tainted["studies"] == ["micro"]
    assert (Path(found[broken.key]["kept"]) / "artifacts/average" / broken.key / "model.safetensors").is_file()
    assert list_files(study) == before
    records = [json.loads(path.read_text()) for path in (study / "canaries").glob("*/*/*.json")]
    assert {one["key"]: one["verdict"] for one in records} == {broken.key: "failed", whole.key: "equal"}


def test_what_the_machine_cannot_make_again_is_refused_with_the_reason(study: Path) -> None:
    (node,) = (one for one in list_nodes(study, "source") if one.label.endswith("/math_file"))
    (study / "tests/data/micro/math_en.jsonl").unlink()
    outcome = try_again(study, node)
    assert outcome.verdict == "refused"
    assert "math_en.jsonl" in outcome.told
    assert outcome.kept is None
    assert not (study / "work/canaries/test/source" / node.key).exists()


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_every_stage_of_a_finished_study_gives_the_same_bytes_again(study: Path) -> None:
    before = list_files(study)
    stages = sorted({path.parts[-3] for path in study.glob("artifacts/*/*/manifest.json")})
    outcomes = {stage: try_again(study, list_nodes(study, stage)[-1]) for stage in stages}
    assert {stage: one.verdict for stage, one in outcomes.items()} == dict.fromkeys(stages, "equal")
    assert len(stages) == 20
    assert list_files(study) == before


def pretend(root: Path, node: Node, **changes: Any) -> None:
    """Say in provenance that an artifact was made otherwise than it was."""
    (path,) = (root / "provenance" / node.stage / node.key).glob("*.json")
    record = json.loads(path.read_text())
    record["digest"] = read_manifest(Store(root).folder(*node.name)).digest
    path.write_text(json.dumps(record | changes))


def train_otherwise(root: Path, node: Node, **changes: Any) -> None:
    """Put what another training gives in the place of a model, as if it had been made from the same spec."""
    planned = build_plan(root, ["micro"], check_files=False)
    twin = replace(node, spec=node.spec.model_copy(update=changes))
    planned.plan.nodes[node.key] = twin
    store, folder = Store(root), root / "work/otherwise"
    plan_file = write_plan(store, render_plan(planned.plan, planned.config.machine, planned.files))
    link_inputs(store, planned.plan, twin, folder)
    made = rerun(root, plan_file.resolve(), folder, twin)

    def take(old: Path) -> None:
        for name in ("model.safetensors", "training_log.csv"):
            (old / name).unlink()
            shutil.copy(made / name, old / name)

    reseal(root, node, take)


def raise_rate(node: Node) -> Any:
    optimizer = node.spec.training.optimizer
    rate = type(optimizer.learning_rate)(float(optimizer.learning_rate) * 1.1)
    raised = optimizer.model_copy(update={"learning_rate": rate})
    return node.spec.training.model_copy(update={"optimizer": raised})


@pytest.mark.parametrize("host", ["this", pytest.param("another", marks=pytest.mark.long)])
@pytest.mark.parametrize("what", ["seed", pytest.param("learning rate", marks=pytest.mark.long)])
def test_another_seed_or_learning_rate_fails_wherever_it_ran(study: Path, host: str, what: str) -> None:
    node = list_nodes(study, "sft")[0]
    changes = {"sft_seed": 7} if what == "seed" else {"training": raise_rate(node)}
    train_otherwise(study, node, **changes)
    pretend(study, node, **({} if host == "this" else {"host": "elsewhere"}))
    outcome = try_again(study, node)
    assert outcome.verdict == "failed"
    if host == "this":
        assert "training gives the same bytes" in outcome.told
    else:
        assert outcome.measures["update"] > 2 * CanaryBand().update
        assert "out of it" in outcome.told


@pytest.mark.long
@pytest.mark.parametrize(("factor", "verdict"), [(1.0001, "within"), (1.2, "failed")])
def test_a_model_of_another_host_may_lie_within_the_band_and_not_out_of_it(
    study: Path, factor: float, verdict: str
) -> None:
    node = list_nodes(study, "sft")[0]
    reseal(study, node, scale(factor))
    pretend(study, node, host="elsewhere")
    outcome = try_again(study, node)
    assert outcome.verdict == verdict
    assert outcome.measures["update"] > 0
    assert outcome.measures["final_loss"] == 0


@pytest.mark.long
def test_responses_are_compared_turn_by_turn_and_by_what_they_score(study: Path) -> None:
    node = next(one for one in list_nodes(study, "generate") if "/demo_math_en/" in one.label)

    def answer_otherwise(folder: Path) -> None:
        path = folder / "responses.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[0]["responses"][0] = "something else"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    reseal(study, node, answer_otherwise)
    outcome = try_again(study, node)
    assert outcome.measures == {"equal_responses": pytest.approx(7 / 8), "score": pytest.approx(0)}
    assert outcome.verdict == "failed"
    assert "equal_responses 0.88 (band >= 0.9, out of it)" in outcome.told


@pytest.mark.long
def test_ctrl_c_leaves_with_what_was_compared_and_without_a_process(study: Path) -> None:
    before = list_files(study)
    command = [sys.executable, "-m", "mixlab.cli", "canary", "--hours", "1", "--stage", "mixture", "--stage", "ipt"]
    out, err = study / "canary.out", study / "canary.err"
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(command, cwd=study, env=environment(study), stdout=stdout, stderr=stderr)
        wait_for(lambda: err.read_text().count("  equal") >= 1, seconds=120)
        os.kill(process.pid, signal.SIGINT)
        code = process.wait(timeout=60)
    assert code == 130, err.read_text()
    assert "stopped by Ctrl-C" in out.read_text()
    assert "equal" in out.read_text()
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(study / "work/canaries") not in running
    assert not any((study / "work/canaries").iterdir())
    assert list_files(study) == before
