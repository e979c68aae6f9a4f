"""Pretraining and SFT by their hosts, on a chain of real stages: what lies in the artifact and what beside it."""

import csv
import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.store import Store
from mixlab.config.machine import MachineSettings
from mixlab.data.mixtures.windows import MixtureWindows
from mixlab.data.packs.pack import Pack
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Node, Plan
from mixlab.plan.planfile import PlanFile
from mixlab.stages.doorway import make_artifact
from mixlab.stages.job import Session
from mixlab.training.watching.faults import trace
from mixlab.training.watching.metrics import read_metrics

REPOSITORY = Path(__file__).resolve().parents[3]
STUDY = """extends: micro.yaml
sources:
  held_ja: {kind: raw, language: ja, licence: CC0-1.0, origin: {type: generator, name: invented_world, size: 9,
    options: {language: ja, world_seed: 5}}}
  held_en: {kind: instruction, language: en, category: math, licence: CC0-1.0, origin: {type: generator,
    name: invented_world, size: 9, options: {language: en, category: math, world_seed: 5}}}
  only_ja: {kind: raw, language: ja, licence: CC0-1.0, origin: {type: generator, name: invented_world, size: 60,
    options: {language: ja, world_seed: 3}}}
tokenizers: {bpe: {vocab_size: 400, sources: [only_ja]}}
base_models:
  tiny:
    mixture: {sources: [only_ja], budget: {tokens: 4000}}
    validation: {sources: [held_ja, held_en], every_steps: 4, windows: 3}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A pretrained model of the micro study on a small source of its own, with all that is above it."""
    root = tmp_path_factory.mktemp("chain")
    (root / "studies").mkdir()
    for name in ("config.yaml", "sources.lock", "studies/micro.yaml"):
        (root / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")
    (root / "studies/other.yaml").write_text(STUDY, encoding="utf-8")
    plan = build_plan(root, ["other"], check_files=False).plan
    machine = MachineSettings.model_validate({"tracking": {"tensorboard": True, "peak_flops": 1e12}})
    store, session = Store(root), Session()
    (node,) = plan.by_stage("pretrain")
    above = plan.closure([node.key])
    for one in [one for one in plan.nodes.values() if one.key in above]:
        run = importlib.import_module(f"mixlab.stages.{one.stage}").run
        make_artifact(run, PlanFile(plan, machine, {}), one, store, session)
    return SimpleNamespace(plan=plan, store=store, node=node)


def test_the_artifact_holds_the_validation_losses_and_no_time(made: SimpleNamespace) -> None:
    folder = made.store.folder(*made.node.name)
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "training_log.csv", "validation_loss.csv", "manifest.json"}
    with (folder / "validation_loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    cells = [(row["language"], row["category"]) for row in rows if row["step"] == "4"]
    assert cells == [("en", "math"), ("ja", "raw")]
    losses = [float(row["loss"]) for row in rows if row["language"] == "ja"]
    assert losses[-1] < losses[0]


def test_metrics_and_event_files_lie_beside_the_artifacts_by_stage_and_key(made: SimpleNamespace) -> None:
    metrics = made.store.root / "metrics"
    rows = read_metrics(metrics / "pretrain" / f"{made.node.key}.jsonl")
    assert {row["event"] for row in rows} == {"start", "step", "validation", "end"}
    (events,) = (metrics / "tensorboard" / "pretrain" / made.node.key).iterdir()
    assert events.name.startswith("events.out.tfevents")
    ignored = (REPOSITORY / ".gitignore").read_text().splitlines()
    assert "/metrics/" in ignored


def test_the_facts_of_the_run_are_in_its_provenance(made: SimpleNamespace) -> None:
    (record,) = read_provenance(made.store, *made.node.name)
    facts = record["facts"]
    assert {"device", "ranks", "tokens_per_second", "mfu", "data_share", "peak_rss_bytes"} <= set(facts)
    assert 0 < float(facts["mfu"]) < 1
    manifest = json.loads((made.store.folder(*made.node.name) / "manifest.json").read_text())
    assert "tokens_per_second" not in json.dumps(manifest)


def test_a_window_is_traced_to_its_pack_and_documents(made: SimpleNamespace) -> None:
    plan, store, node = made.plan, made.store, made.node
    folders = [find_folders(plan, store, keys) for keys in (node.parents["mixture"], *map(node.reads.get, ROLES))]
    windows = MixtureWindows(folders[0][0], folders[1], folders[2])
    origins = trace(windows, range(len(windows)))
    pack = Pack(folders[1][0])
    assert {one.pack for one in origins} == {pack.folder.name} == {node.reads["packs"][0]}
    assert {one.window for one in origins} <= set(range(pack.windows))
    for place, one in enumerate(origins):
        tokens = windows.window(place).tokens_T
        assert len(tokens) == pack.tokens_W[one.window]
        assert [one.first_document, one.last_document] == pack.documents_W2[one.window].tolist()
    assert len(origins) > 20


ROLES = ("packs", "stores")


def find_folders(plan: Plan, store: Store, keys: tuple[str, ...]) -> list[Path]:
    nodes: list[Node] = [plan.nodes[key] for key in keys]
    return [store.folder(*node.name) for node in nodes]
