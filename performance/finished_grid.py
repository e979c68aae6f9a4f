"""A working folder under git and DVC in which a large study is finished, of small real artifacts; and a plain twin.

Artifacts are sealed by a manifest, have provenance, a pointer, and their objects in cache and remote, all written as
mixlab and DVC would write them, but a thousand times faster than by running them. The twin is a repository of DVC
alone: the same folders, a `.dvc` file beside each.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grid import write_study
from planning import ROOT

from mixlab.artifacts.manifest import write_manifest
from mixlab.artifacts.store import Store, write_json
from mixlab.data.sources.source import build_source
from mixlab.plan.build import build_plan
from mixlab.plan.canonical import to_plain
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import SourceSpec

WORKFLOW = ("Snakefile", "rules", "workflow", "envs", "profiles", "local", "dvc.yaml", ".dvcignore", ".gitignore")
CODE = ("src/mixlab/artifacts/keys.py", "src/mixlab/config", "src/mixlab/plan")
"""What dvc.yaml depends on."""
IDENTITY = ("-c", "user.name=Mock", "-c", "user.email=mock@lab.example", "-c", "gc.auto=0")
CERTIFICATE = {
    "windows": 100,
    "sequence_tokens": 4096,
    "sources": {"allocated_tokens": [409_600], "response_tokens": [200_000]},
}
MODEL = {
    "model_type": "llama",
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "intermediate_size": 7168,
    "vocab_size": 1000,
    "tie_word_embeddings": False,
}
FILES: dict[str, dict[str, Any]] = {
    "mixture": {"certificate.json": CERTIFICATE},
    "pretrain": {"config.json": MODEL},
    "pack": {"index.json": {"tokens": 10**9}},
    "tokenizer": {"index.json": {"vocab_size": 1000}},
    "generate": {"index.json": {"items": 40, "prompt_tokens": 4000, "response_tokens": 2000}},
    "judge": {"index.json": {"verdicts": 80}},
    "aggregate": {"scores.csv": {}},
    "report": {"metrics.json": {"scores": {}, "effects": {}}, "tables/cells.csv": {}},
}
"""What commands read of some artifacts."""


def run(folder: Path, *command: str) -> str:
    """Run a command that must succeed, and return what it prints."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment(folder), check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def environment(folder: Path) -> dict[str, str]:
    """The environment of a command in a mock: this checkout's code, and DVC's notes beside the mock."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    notes = str(folder.parent / "site")
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PATH": path, "DVC_SITE_CACHE_DIR": notes}


def build_repository(folder: Path, study: dict[str, Any]) -> Plan:
    """Lay workflow, code and study into an empty folder, under git and DVC; return the plan."""
    folder.mkdir()
    for name in (*WORKFLOW, *CODE):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.pyc", "__pycache__"))
        else:
            shutil.copy2(source, target)
    (folder / "sources.lock").write_text('{"sources": {}}\n')
    write_study(folder, study)
    _init(folder)
    return build_plan(folder).plan


def build_twin(folder: Path) -> None:
    """A repository of DVC alone."""
    folder.mkdir()
    _init(folder)


def _init(folder: Path) -> None:
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    (folder / ".dvc").mkdir()
    shutil.copy2(ROOT / ".dvc/config", folder / ".dvc/config")
    shutil.copy2(ROOT / ".dvc/.gitignore", folder / ".dvc/.gitignore")
    run(folder, "dvc", "remote", "add", "--default", "store", f"../remote-{folder.name}")


def commit(folder: Path) -> None:
    """Commit everything that git does not ignore."""
    run(folder, "git", "add", "--all")
    run(folder, "git", *IDENTITY, "commit", "--quiet", "--allow-empty", "--message", "mock")


def make_artifacts(store: Store, nodes: Iterable[Node]) -> None:
    """Make small real artifacts with their provenance."""
    for node in nodes:
        folder = store.folder(node.stage, node.key)
        folder.mkdir(parents=True)
        (folder / "payload.txt").write_text(f"{node.stage} {node.key}\n" * 8)
        for name, value in FILES.get(node.stage, {}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(value))
        if isinstance(node.spec, SourceSpec):
            build_source(node.spec.source, [], folder)
        parents = {role: list(references) for role, references in node.parents.items()}
        manifest = write_manifest(folder, node.stage, node.key, to_plain(node.spec), parents)
        record = {
            "stage": node.stage,
            "key": node.key,
            "digest": manifest.digest,
            "label": node.label,
            "host": "mock",
            "machine": {"threads": 1, "gpus": 8 if node.stage in ("ipt", "sft") else 0},
            "seconds": 100.0,
            "finished": "2026-01-01T00:00:00+00:00",
        }
        write_json(store.root / "provenance" / node.stage / node.key / f"{node.key}.json", record)


def place_objects(folder: Path, data: Path) -> tuple[str, int, int]:
    """Put an artifact's files into cache and remote as DVC names them; return DVC's name, size and number of files."""
    entries, size = [], 0
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        text = path.read_bytes()
        size += len(text)
        oid = hashlib.md5(text, usedforsecurity=False).hexdigest()
        entries.append({"md5": oid, "relpath": path.relative_to(data).as_posix()})
        path.chmod(0o444)
        _place(folder, oid, path)
    entries.sort(key=lambda entry: entry["relpath"])
    tree = data.parent / f".{data.name}"
    tree.write_text(json.dumps(entries, sort_keys=True))
    oid = hashlib.md5(tree.read_bytes(), usedforsecurity=False).hexdigest() + ".dir"
    tree.chmod(0o444)
    _place(folder, oid, tree)
    tree.unlink()
    return oid, size, len(entries)


def _place(folder: Path, oid: str, path: Path) -> None:
    for root, is_linked in ((folder / ".dvc/cache", True), (folder.parent / f"remote-{folder.name}", False)):
        target = root / "files/md5" / oid[:2] / oid[2:]
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_linked:
            os.link(path, target)
        else:
            shutil.copyfile(path, target)


def write_pointer(path: Path, name: str, about: tuple[str, int, int], wdir: str = "") -> None:
    """Write a pointer as DVC writes it; quoted, since a key of digits alone would be a number."""
    oid, size, files = about
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"wdir: {wdir}\n" if wdir else ""
    path.write_text(f"{head}outs:\n- md5: {oid}\n  size: {size}\n  nfiles: {files}\n  hash: md5\n  path: '{name}'\n")


NO_OBJECTS = ("0" * 32 + ".dir", 0, 0)
"""What a pointer says where nobody asks DVC for the data."""


def track_by_hand(folder: Path, nodes: Iterable[Node], with_objects: bool) -> None:
    """Give artifacts their pointers, and cache and remote their objects where a command will ask for them."""
    store = Store(folder)
    for node in nodes:
        about = place_objects(folder, store.folder(node.stage, node.key)) if with_objects else NO_OBJECTS
        write_pointer(store.pointer(node.stage, node.key), node.key, about, f"../../artifacts/{node.stage}")


def copy_to_twin(folder: Path, twin: Path, nodes: Iterable[Node], tracked: bool) -> None:
    """Copy artifacts into the twin, with a `.dvc` file beside each where they are `tracked`."""
    for node in nodes:
        target = twin / "data" / node.stage / node.key
        shutil.copytree(Store(folder).folder(node.stage, node.key), target)
        ignored = target.parent / ".gitignore"
        with ignored.open("a") as file:
            file.write(f"/{node.key}\n")
        if tracked:
            write_pointer(target.with_name(f"{node.key}.dvc"), node.key, place_objects(twin, target))


def forget_here(folder: Path, nodes: Iterable[Node]) -> None:
    """Remove artifacts and their objects here: only the remote has them."""
    store = Store(folder)
    for node in nodes:
        text = store.pointer(node.stage, node.key).read_text()
        drop_objects(folder, text.split("md5: ")[1].split()[0])
        shutil.rmtree(store.folder(node.stage, node.key))


def drop_objects(folder: Path, oid: str) -> None:
    """Remove the objects of one directory from the cache."""
    place = folder / ".dvc/cache/files/md5"
    tree = place / oid[:2] / oid[2:]
    for entry in json.loads(tree.read_text()):
        (place / entry["md5"][:2] / entry["md5"][2:]).unlink(missing_ok=True)
    tree.unlink()
