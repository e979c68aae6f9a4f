"""Folders written by several ranks: whole for all, or there for none."""

import errno
import json
import threading

import pytest

from mixlab.training.checkpoints.sealed import find_fault, name_part, owner_of, write_sealed


class Crew:
    """Threads as ranks."""

    def __init__(self, ranks):
        self.ranks, self.barrier, self.told = ranks, threading.Barrier(ranks, timeout=20), [""] * ranks
        self.errors = {}

    def run(self, act):
        members = [Member(self, rank) for rank in range(self.ranks)]
        threads = [threading.Thread(target=self._call, args=(act, member)) for member in members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self, act, member):
        try:
            act(member)
        except OSError as error:
            self.errors[member.rank] = error


class Member:
    def __init__(self, crew, rank):
        self.crew, self.rank, self.ranks = crew, rank, crew.ranks

    def share(self, text):
        self.crew.told[self.rank] = text
        self.crew.barrier.wait()
        told = list(self.crew.told)
        self.crew.barrier.wait()
        return told


def write_parts(folder, full=None):
    """Let three ranks write a part each; `full` is the rank whose disk is full."""
    crew = Crew(3)

    def act(member):
        def fill(partial):
            if member.rank == full:
                raise OSError(errno.ENOSPC, "No space left on device", str(partial / "part"))
            (partial / name_part("model", member.rank, 3)).write_text(f"part {member.rank}")
            if member.rank == 0:
                (partial / "progress.json").write_text("{}")

        write_sealed(folder, fill, member)

    crew.run(act)
    return crew.errors


def test_every_rank_writes_a_part_and_all_verify_it_together(tmp_path):
    folder = tmp_path / "state"
    assert write_parts(folder) == {}
    names = {"progress.json", *(f"model.rank-0000{rank}-of-00003.safetensors" for rank in (1, 2, 3))}
    assert set(json.loads((folder / "digests.json").read_text())) == names
    assert find_fault(folder) is None
    (folder / name_part("model", 1, 3)).write_text("part X")
    found = []
    Crew(2).run(lambda member: found.append(find_fault(folder, member)))
    assert found == ["model.rank-00002-of-00003.safetensors has changed since it was written"] * 2


@pytest.mark.parametrize("full", [0, 2])
def test_a_full_disk_of_one_rank_is_an_error_of_all_and_the_older_folder_stays(tmp_path, full):
    folder = tmp_path / "state"
    write_parts(folder)
    errors = write_parts(folder, full)
    assert sorted(errors) == [0, 1, 2]
    assert {error.errno for error in errors.values()} == {errno.ENOSPC}
    assert all(f"rank {full}" in str(error) for error in errors.values())
    assert find_fault(folder) is None
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_files_rank_is_in_its_name():
    assert name_part("model", 0, 1) == "model.safetensors"
    assert [owner_of(name_part("model", rank, 4)) for rank in range(4)] == [0, 1, 2, 3]
    assert owner_of("progress.json") == 0
    assert owner_of("model-00002-of-00003.safetensors") == 0
