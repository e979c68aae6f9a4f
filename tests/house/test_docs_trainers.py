"""The examples of docs/external-trainers.md are settings that mixlab takes, and programs that Python reads."""

import ast
import itertools
import re
from pathlib import Path

import pytest
from docs_blocks import REPOSITORY, read_blocks

from mixlab.config.models import ModelSettings
from mixlab.config.studies import load_main_config
from mixlab.config.trainers import LOOKED_UP, PLACEHOLDERS, fill_template
from mixlab.data.writing import read_json
from mixlab.plan.build import build_plan
from mixlab.plan.trainers import build_values, require_trainers, training_of
from mixlab.training.external.checking import write_start
from mixlab.training.models.weights import NewModel

DOCUMENT = REPOSITORY / "docs/external-trainers.md"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the study and the machine of the document, laid over the micro study."""
    (tmp_path / "studies").mkdir()
    for name in ("sources.lock", "studies/micro.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    study, machine = (block.text for block in read_blocks(DOCUMENT) if block.language == "yaml")
    (tmp_path / "studies/paper.yaml").write_text(f"extends: micro.yaml\n{study}")
    (tmp_path / "config.yaml").write_text(machine)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_machine_of_the_document_runs_the_trainer_of_its_study(root: Path) -> None:
    machine = load_main_config(root).machine
    plan = build_plan(root, ["paper"], check_files=False).plan
    node = plan.by_stage("ipt")[0]
    require_trainers(plan, machine, [node.key])
    training = training_of(node.spec)
    assert training is not None and training.trainer is not None
    model = NewModel(ModelSettings(hidden_size=8, layers=1, heads=2, feed_forward=8), vocab_size=16)
    paths = {name: f"/{name}" for name in PLACEHOLDERS}
    config = read_json(write_start(model, root / "model") / "config.json")
    values = {**paths, **build_values(training, training.trainer), "config": config}
    convert, train, _ = [
        [fill_template(word, values) for word in command] for command in machine.trainers["megatron"].commands
    ]
    assert convert == ["python", "/opt/convert.py", "begin", "/spec"]
    options = dict(itertools.pairwise(train))
    wanted = {"--lr": "0.004", "--min-lr": "2.5e-06", "--rotary-base": "10000", "--hidden-size": "8"}
    wanted |= {"--lr-decay-style": "constant", "--clip-grad": "1", "--data-args-path": "/mixture/data_path.txt"}
    assert {name: options[name] for name in wanted} == wanted
    assert [word for word in train if "{" in word] == []


def test_the_base_settings_of_the_document_do_not_hide_a_mistake(root: Path) -> None:
    text = (root / "config.yaml").read_text().replace("{settings.min_lr}", "{settings.min_lrr}")
    (root / "config.yaml").write_text(text)
    plan = build_plan(root, ["paper"], check_files=False).plan
    with pytest.raises(Exception, match=r"there is no 'min_lrr'; there is min_lr; needed by ipt"):
        require_trainers(plan, load_main_config(root).machine, [plan.by_stage("ipt")[0].key])


def test_every_placeholder_stands_in_the_table() -> None:
    rows = [line.split("|")[1] for line in DOCUMENT.read_text().splitlines() if line.startswith("| `{")]
    written = re.findall(r"`\{([\w.]+)\}`", " ".join(rows))
    assert sorted(written) == sorted([*PLACEHOLDERS, *(f"{word}.PATH" for word in LOOKED_UP)])


def test_the_converter_is_a_program_and_reads_what_spec_json_holds() -> None:
    (program,) = (block.text for block in read_blocks(DOCUMENT) if block.language == "python")
    read = {
        node.slice.value
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("spec", "paths")
    }
    assert read == {"paths", "snapshots", "model", "out", "resume", "scratch"}
