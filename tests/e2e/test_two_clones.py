"""Two people, two branches, one remote behind SSH, with a study that is really run."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from checkouts import list_made, list_wanted
from dvc_checkouts import clone, commit, make_repository, mixlab, plan_micro, run, snakemake
from edits import REMAKING
from remote_labs import serve_ssh, use_ssh

Name = tuple[str, str]

RATIO = REMAKING[0]
OLD_SEEDS, NEW_SEEDS = "sft_seed: [1, 2]", "sft_seed: [1, 2, 3]"


def list_objects(root: Path) -> dict[str, int]:
    """Map each object of a copy's cache to its bytes."""
    paths = (root / ".dvc/cache/files/md5").glob("??/*")
    return {path.parent.name + path.name: path.stat().st_size for path in paths}


def list_needed(root: Path, names: Iterable[Name]) -> set[str]:
    """The objects of artifacts, read from a cache that has them all."""
    needed = set()
    for stage, key in names:
        oid = (root / f"tracked/{stage}/{key}.dvc").read_text().split("md5: ")[1].split()[0]
        listed = json.loads((root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]).read_text())
        needed |= {oid, *(one["md5"] for one in listed)}
    return needed


def share(root: Path, message: str) -> None:
    """Bring the study up to date by `dvc repro`, upload and commit."""
    run(root, "dvc", "repro")
    mixlab(root, "track", "--push")
    commit(root, message)


def is_done(root: Path) -> bool:
    """Whether neither Snakemake nor DVC has anything to do."""
    nothing = "Nothing to be done" in snakemake(root, "--dry-run", "all")
    return nothing and "up to date" in run(root, "dvc", "status")


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_a_changed_ratio_and_a_new_seed_meet_over_ssh(finished: Path, tmp_path: Path) -> None:
    """B computes descendants alone, fetches what they read alone; after the merge only what neither made is to do."""
    with serve_ssh(tmp_path / "server") as server:
        one = make_repository(tmp_path)
        use_ssh(one, server, tmp_path / "team data")
        shutil.copytree(finished / "artifacts", one / "artifacts")
        mixlab(one, "track", "--push")
        commit(one, "finished")
        everything = list_made(one)

        other = clone(one, tmp_path / "second 写し")
        shutil.copy(one / ".dvc/config.local", other / ".dvc/config.local")
        shutil.rmtree(other / "tests")
        RATIO.apply(other)
        wanted = list_wanted(other)
        assert RATIO.differences(wanted) == []
        restored = {(node["stage"], node["key"]) for node in json.loads(mixlab(other, "restore", "--json"))["restored"]}
        plan = plan_micro(other)
        read = {plan.nodes[key].name for _, made in wanted for key in plan.nodes[made].inputs()}
        assert restored == read - set(wanted)
        objects = list_objects(one)
        needed = sum(objects[oid] for oid in list_needed(one, restored))
        assert sum(list_objects(other).values()) == needed < sum(objects.values()) / 2

        share(other, "another ratio")
        assert list_made(other) == restored | set(wanted)
        study = one / "studies/micro.yaml"
        study.write_text(study.read_text().replace(OLD_SEEDS, NEW_SEEDS))
        share(one, "a third seed")

        mixlab(other, "merge", "--install")
        run(other, "git", "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")
        assert run(other, "git", "status", "--short") == ""
        assert run(other, "git", "show", "--no-patch", "--format=%P").count(" ") == 1
        names = {node.name for node in plan_micro(other).nodes.values()}
        neither = names - list_made(one) - list_made(other) - everything
        assert set(list_wanted(other)) == neither
        assert {stage for stage, _ in neither} >= {"sft", "generate", "aggregate", "report"}
        assert not {stage for stage, _ in neither} & {"mixture", "ipt", "average"}
        share(other, "both")
        run(one, "git", "pull", "--quiet", str(other), "main")
        for root in (one, other):
            run(root, "dvc", "pull")
            assert is_done(root)
            assert run(root, "git", "status", "--short") == ""
