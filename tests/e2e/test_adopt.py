"""A checkpoint that was made elsewhere, adopted: the commands of docs/external-trainers.md, and what is refused."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from checkouts import REPOSITORY
from click.testing import CliRunner, Result
from runs import run

from mixlab.artifacts.manifest import read_manifest
from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.store import Store
from mixlab.cli import mixlab
from mixlab.config.machine import MachineSettings
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node, Plan
from mixlab.stages.job import Inputs, Session
from mixlab.stages.report import find_cautions

sys.path.insert(0, str(REPOSITORY / "tests/house"))
from docs_blocks import CONSOLE, find_difference, read_blocks, run_command, split_console

DOCUMENT = REPOSITORY / "docs/external-trainers.md"
LABEL = "even/mixture_seed 1/ipt_seed 1/ipt"
BELOW = ("average", "sft", "generate", "score", "judge", "scores", "aggregate", "report")
REASON = "run 4711, before the study"


@pytest.fixture
def root(study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy whose models have not been made, the checkpoint of one of them beside it; made the current folder."""
    monkeypatch.chdir(study)
    node = find(plan(study), LABEL)
    shutil.copytree(Store(study).folder(*node.name), study / "checkpoints/even")
    for name in ("manifest.json", "training_log.csv"):
        (study / "checkpoints/even" / name).unlink()
    for stage in ("ipt", *BELOW):
        shutil.rmtree(study / "artifacts" / stage)
        shutil.rmtree(study / "provenance" / stage, ignore_errors=True)
    return study


def plan(root: Path) -> Plan:
    return build_plan(root, ["micro"], check_files=False).plan


def find(planned: Plan, label: str) -> Node:
    (node,) = (one for one in planned.nodes.values() if f"micro/{label}" in one.labels)
    return node


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(mixlab, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def adopt(*more: str, stage: str = "ipt", folder: str = "checkpoints/even") -> Result:
    return invoke("adopt", folder, "--as", stage, "--spec", "spec.json", "--reason", REASON, *more)


def write_template(what: str = LABEL) -> None:
    Path("spec.json").unlink(missing_ok=True)
    assert invoke("adopt", "--template", what, "--study", "micro", "--spec", "spec.json").exit_code == 0


def test_the_commands_of_the_document_adopt_and_snakemake_takes_it_as_finished(root: Path) -> None:
    for command in (
        one for block in read_blocks(DOCUMENT) if block.language == CONSOLE for one in split_console(block)
    ):
        difference = find_difference(command, run_command(root, command.text))
        assert not difference, difference
    store, node = Store(root), find(plan(root), LABEL)
    manifest = read_manifest(store.open(*node.name))
    (record,) = read_provenance(store, *node.name)
    assert record["facts"]["adopted"] == REASON
    assert record["facts"]["adopted_files"] == f"8 files, digest {manifest.digest}; 0 others left out"
    assert str(root) not in json.dumps(record)
    assert "checkpoints" not in json.dumps(record)
    assert f"  adopted: {REASON}\n" in invoke("explain", node.key).stdout
    code, output = run(root, "-n", "all")
    assert code == 0, output
    assert "rule ipt:" in output  # the other variant's
    assert f"artifacts/ipt/{node.key}" not in output.partition("rule average:")[0]
    assert node.key not in {line.split("/")[2] for line in output.splitlines() if "output: artifacts/ipt/" in line}


def test_the_report_tells_what_was_adopted_and_why(root: Path) -> None:
    planned = plan(root)
    (report,), node = planned.by_stage("report"), find(planned, LABEL)
    write_template()
    assert adopt("--link", "--json").exit_code == 0

    def facts(one: Node) -> list[dict[str, str]]:
        return [record.get("facts", {}) for record in read_provenance(Store(root), *one.name)]

    machine = MachineSettings()
    told = find_cautions(Inputs(planned, report, {}, {}, root, {}, machine, 1, Session(), facts))
    assert f"ipt {node.key} was adopted, not made from its spec here: {REASON}" in told
    link = Store(root).folder(*node.name) / "last-00/model.safetensors"
    assert link.samefile("checkpoints/even/last-00/model.safetensors")


def test_what_is_there_already_is_not_replaced(root: Path) -> None:
    store, node = Store(root), find(plan(root), LABEL)
    write_template()
    resume = store.work / "ipt" / node.key / "resume"
    resume.mkdir(parents=True)
    (resume / "state-00000004").mkdir()
    assert "holds states of an unfinished run; finish it, or remove that folder" in adopt().stderr
    shutil.rmtree(resume)
    assert adopt().exit_code == 0
    assert f"ipt {node.key}: is here already, in artifacts/ipt/{node.key}" in adopt().stderr
    shutil.rmtree(store.artifacts / "ipt")
    store.pointer(*node.name).parent.mkdir(parents=True)
    store.pointer(*node.name).touch()
    assert f"is tracked already; fetch it by `mixlab restore {node.key}`" in adopt().stderr


def test_a_checkpoint_that_is_another_model_is_refused(root: Path) -> None:
    write_template()
    config = root / "checkpoints/even/last-00/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vocab_size": 512}))
    (root / "checkpoints/even/optimizer.pt").touch()
    result = adopt()
    assert result.exit_code == 2
    assert result.stderr.startswith("mixlab: 2 problems\n")
    assert "vocab_size: is 512, but training begins with a model where it is 400" in result.stderr
    assert not (root / "artifacts/ipt").exists()
    assert "no such folder" in adopt(folder="gone").stderr


def test_the_shape_is_known_from_the_pretrainings_spec_where_no_model_is_here(root: Path) -> None:
    write_template("even/mixture_seed 1/ipt_seed 1/sft_seed 1/sft")
    shutil.rmtree(root / "artifacts/pretrain")
    assert adopt(stage="sft", folder="checkpoints/even/last-00").exit_code == 0
    for path in (root / "artifacts/tokenizer").iterdir():
        path.rename(root / path.name)
    write_template("pretrain/tiny")
    result = adopt(stage="pretrain", folder="checkpoints/even/last-00")
    assert result.exit_code == 2
    assert "not here, and the vocabulary cannot be compared without" in result.stderr
