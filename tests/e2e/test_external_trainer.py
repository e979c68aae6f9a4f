"""A second trainer through the whole stage ipt: killed, deaf to SIGTERM, resumed, and doing what it must not."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkouts import environment
from runs import wait_for
from safetensors.torch import load_file

from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.store import Store
from mixlab.plan.graph import Node
from mixlab.plan.workflow import open_workflow
from mixlab.stages import aggregate, average, doorway, ipt, pretrain
from mixlab.stages.job import Inputs, Session

SECOND = Path(__file__).parent / "second_trainer.py"
STUDY = """\
extends: micro.yaml
ipt:
  training:
    trainer: {type: external, name: second, version: '1', export: FORM, settings: {rate_factor: 2.5}}
"""
CONFIG = """\
study: outside
machine:
  data_roots: {micro: tests/data/micro}
  trainers:
    second:
      commands: [[PROGRAM, '{spec}', '{out}', '{settings.rate_factor}', '{config.vocab_size}']]
      environment: {FAULT: ''}
      stop_seconds: 0.5
"""
MEMBERS = ("last-00", "last-01", "last-02", "last-03")
LIGHT = """\
import json, os, shutil, sys
from pathlib import Path

spec, out, fault = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), os.environ["FAULT"]
assert sys.argv[3:] == ["2.5", "400"] and not list(out.iterdir())
print("light trainer", *sorted(os.listdir(spec["paths"]["mixture"])))
if fault != "nothing":
    for name in spec["snapshots"]:
        shutil.copytree(spec["paths"]["model"], out / name, ignore=lambda *_: ["manifest.json", "training_log.csv"])
if fault == "vocabulary":
    config = json.loads((out / "last-00/config.json").read_text())
    (out / "last-00/config.json").write_text(json.dumps(config | {"vocab_size": 512}))
if fault == "pickle":
    (out / "last-01/model.safetensors").rename(out / "last-01/pytorch_model.bin")
(out / "notes.txt").write_text("mine")
sys.exit(3 if fault == "exit" else 0)
"""


@dataclass
class Run:
    """One unfinished run of ipt in a copy of a finished study, made the current folder."""

    root: Path
    node: Node
    plan_file: Path

    @property
    def resume(self) -> Path:
        return Store(self.root).work / "ipt" / self.node.key / "resume"

    def go(self, program: str = "", fault: str = "") -> None:
        self.plan(program, fault)
        doorway.main("ipt", ipt.run, ["--plan", str(self.plan_file), "--key", self.node.key])

    def fail(self, capfd: pytest.CaptureFixture[str], program: str, fault: str) -> str:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            self.go(program, fault)
        assert caught.value.code == 2
        assert not Store(self.root).folder(*self.node.name).exists()
        return capfd.readouterr().err

    def plan(self, program: str, fault: str) -> None:
        """Let the machine run another program, or let it do something wrong: no key knows."""
        command = f"{json.dumps(sys.executable)}, {json.dumps(program or str(SECOND))}"
        config = CONFIG.replace("PROGRAM", command).replace("FAULT: ''", f"FAULT: '{fault}'")
        (self.root / "config.yaml").write_text(config)
        self.plan_file = open_workflow(self.root, {}, True, {}).plan_file


def begin(root: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    (root / "studies/outside.yaml").write_text(STUDY.replace("FORM", form))
    (root / "light.py").write_text(LIGHT)
    (root / "config.yaml").write_text(CONFIG.replace("PROGRAM", "nothing"))
    monkeypatch.chdir(root)
    flow = open_workflow(root, {}, True, {})
    return Run(root, flow.plan.by_stage("ipt")[0], flow.plan_file)


@pytest.fixture
def run(study: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return begin(study, "windows", monkeypatch)


def test_a_trainer_that_is_killed_and_is_deaf_to_sigterm_is_resumed_and_its_model_counts(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    told = run.fail(capfd, "", "die")
    assert "trainer 'second': command 1 of 1" in told
    assert "was ended by SIGKILL" in told
    exported = (run.resume / "mixture/windows.bin").stat().st_ino

    run.plan("", "deaf")
    command = [sys.executable, "-P", "workflow/scripts/ipt.py", "--plan", str(run.plan_file), "--key", run.node.key]
    with (run.root / "job.log").open("w") as log:
        job = subprocess.Popen(command, env=environment(run.root), stderr=log)
    wait_for(lambda: (run.resume / "kept/deaf").exists() or job.poll() is not None)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=20) == 143
    log_text = (run.root / "job.log").read_text()
    assert "going on after step 3" in log_text
    assert "did not end within 0 s and is killed" in log_text
    assert (run.resume / "mixture/windows.bin").stat().st_ino == exported

    run.go()
    assert "going on after step 5" in capfd.readouterr().err
    store, node = Store(run.root), run.node
    artifact = store.open(*node.name)
    files = [file.path for file in read_manifest(artifact).files]
    assert files == [f"{member}/{name}" for member in MEMBERS for name in ("config.json", "model.safetensors")]
    models = [load_file(artifact / member / "model.safetensors") for member in (*MEMBERS[:2],)]
    base = load_file(store.folder("pretrain", node.parents["base_model"][0]) / "model.safetensors")
    assert base.keys() == models[0].keys()
    assert all(not one[name].equal(other[name]) for name in base for one, other in ((base, models[0]), models))
    (record,) = read_provenance(store, *node.name)
    resumed = {"resumed": "it found what an earlier attempt had kept"}
    assert record["facts"] == {"trainer": "second 1 (external)", "trainer_export": "windows", **resumed}
    assert [one["attempts"] for one in record["earlier"]] == [2]
    assert str(run.root) not in json.dumps(record)
    assert not (store.work / "ipt" / node.key).exists()

    planned = open_workflow(run.root, {}, True, {})
    (mean,) = (one for one in planned.plan.by_stage("average") if one.parents["snapshots"][0].startswith(node.key))
    doorway.main("average", average.run, ["--plan", str(planned.plan_file), "--key", mean.key])
    assert store.is_complete(*mean.name)


FAULTS = {
    "exit": ["left with exit code 3. The last it said:\n  | light trainer README.md certificate.json"],
    "nothing": [f"last-0{number}: no model: neither model.safetensors nor" for number in range(4)],
    "vocabulary": ["last-00/config.json: vocab_size: is 512, but training begins with a model where it is 400"],
    "pickle": ["last-01/pytorch_model.bin: may hold pickled objects", "last-01: no model: neither"],
}


def test_what_a_trainer_does_wrong_is_told_and_nothing_is_published(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    said = {fault: run.fail(capfd, "light.py", fault) for fault in FAULTS}
    assert [text for fault, told in FAULTS.items() for text in told if text not in said[fault]] == []
    assert [fault for fault, text in said.items() if "Traceback" in text] == []
    run.go("light.py")
    files = [file.path for file in read_manifest(Store(run.root).open(*run.node.name)).files]
    assert len(files) == 8
    assert "notes.txt" not in files


def test_a_blend_is_handed_over_as_well_and_a_base_model_begins_with_its_configuration(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study = study.rename(tmp_path / "without_spaces")  # as Megatron wants it
    run = begin(study, "megatron", monkeypatch)
    run.go("light.py")
    assert "data_path.txt" in capfd.readouterr().err
    text = "extends: outside.yaml\nbase_models:\n  tiny:\n    training:\n      trainer: "
    text += "{type: external, name: second, version: '1', export: windows, settings: {rate_factor: 2.5}}\n"
    (study / "studies/base.yaml").write_text(text)
    flow = open_workflow(study, {"study": "base"}, True, {})
    (node,) = flow.plan.by_stage("pretrain")
    with pytest.raises(SystemExit):
        doorway.main("pretrain", pretrain.run, ["--plan", str(flow.plan_file), "--key", node.key])
    scratch = Store(study).work / "pretrain" / node.key / "resume/scratch"
    assert [path.name for path in (scratch / "model").iterdir()] == ["config.json"]
    spec = json.loads((scratch / "spec.json").read_text())
    assert (spec["stage"], spec["key"], spec["snapshots"], spec["steps"]) == ("pretrain", node.key, {}, 28)


def test_a_number_leads_back_to_the_trainer_that_made_its_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = open_workflow(run.root, {}, True, {})
    (node,) = flow.plan.by_stage("aggregate")
    told: dict[str, aggregate.Ancestor] = {}
    monkeypatch.setattr(aggregate, "write_aggregate", lambda *_, ancestry, **_named: told.update(ancestry))
    folders = {role: tuple(Path(key) for key in keys) for role, keys in node.parents.items()}
    machine = flow.machine
    aggregate.run(node.spec, Inputs(flow.plan, node, folders, {}, Path(), {}, machine, 1, Session()), Path())
    assert told[run.node.key].facts == (("trainer", "second 1 (external)"),)
    assert {one.facts for one in told.values() if one.stage == "pretrain"} == {()}
