"""A git and DVC repository with no study's artifacts in it, made without running DVC: for tests of pointers alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkouts import CONFIG, REPOSITORY
from dvc_checkouts import commit, run

from mixlab.artifacts.manifest import Manifest
from mixlab.artifacts.provenance import write_provenance
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store

DVC_CONFIG = """\
[core]
    analytics = false
    check_update = false
    remote = store
[cache]
    type = "hardlink,copy"
['remote "store"']
    url = {url}
"""

SHARED = "the same in every artifact\n"


def make_shelf(root: Path, url: str = "../../remote") -> Path:
    """Make an empty repository whose remote is a folder beside it."""
    root.mkdir(parents=True)
    (root / "config.yaml").write_text(CONFIG)
    (root / ".dvc").mkdir()
    (root / ".dvc/config").write_text(DVC_CONFIG.format(url=url))
    for name in (".dvc/.gitignore", ".dvcignore", ".gitignore", ".gitattributes"):
        (root / name).write_text((REPOSITORY / name).read_text())
    run(root, "git", "init", "--quiet", "--initial-branch=main")
    for name, value in (("name", "Hanako Data"), ("email", "hanako@lab.example"), ("commit.gpgsign", "false")):
        run(root, "git", "config", f"user.{name}" if "." not in name else name, value)
    commit(root, "begin")
    return root


def make_one(
    root: Path, stage: str, key: str, payload: str, host: str = "gpu01", reproducible: str = "numeric"
) -> Name:
    """Make a whole artifact of two files, one of them the same in all, with the provenance of a host."""
    store = Store(root)
    with store.writing(stage, key) as draft:
        assert draft is not None
        (draft.out / "payload.txt").write_text(payload)
        (draft.out / "shared.txt").write_text(SHARED)
        draft.publish({}, {}, lambda manifest: write_record(store, manifest, host, reproducible))
    return stage, key


def write_record(store: Store, manifest: Manifest, host: str, reproducible: str) -> Path:
    """Write provenance in which the host stands under what the machine gave."""
    machine: Mapping[str, Any] = {"accelerator": host}
    return write_provenance(store, manifest, "label", 1.0, reproducible, dict(machine))


def switch(root: Path, branch: str, new: bool = False) -> None:
    """Switch to a branch, or make it."""
    run(root, "git", "switch", "--quiet", *(["--create"] if new else []), branch)
