"""Remotes that are servers: a real sshd and an S3 on the loopback, what they refuse, and what is never said of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc_checkouts import clone, commit, list_bytes, mixlab, run
from remote_labs import SECRET, Server, find_port, serve_s3, serve_ssh, set_remote, use_s3, use_ssh
from shelves import make_one

from mixlab.artifacts import remote
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.store import Store

A, B = "00000000000000aa", "00000000000000bb"


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real sshd of our own."""
    with serve_ssh(tmp_path_factory.mktemp("ssh") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An S3 of our own."""
    with serve_s3(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server


def share(root: Path, tmp_path: Path) -> Path:
    """Track, upload and commit two artifacts, and clone; the clone has the settings that git does not keep."""
    for key in (A, B):
        make_one(root, "ipt", key, f"{key}\n")
    assert "Tracked 2 artifacts" in mixlab(root, "track", A, B, "--push")
    commit(root, "two artifacts")
    second = clone(root, tmp_path / "second")
    shutil.copy(root / ".dvc/config.local", second / ".dvc/config.local")
    return second


def check_measures(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Objects have the same sizes, asked for one by one or in a listing of the whole remote."""
    with open_depot(Store(root)) as depot:
        oids = depot.list_remote()
        sizes = depot.measure_remote(oids)
        patch.setattr(remote, "_FEW", 0)
        assert depot.measure_remote(oids) == sizes == {oid: sizes[oid] for oid in oids}
        assert len(oids) == 7


def check_exchange(first: Path, second: Path) -> None:
    """One artifact is restored by mixlab, the other pulled by DVC; what the clone adds goes back by DVC's push."""
    made = list_bytes(first / "artifacts")
    assert "Restored 1 artifact" in mixlab(second, "restore", A)
    assert set(list_bytes(second / "artifacts")) == {name for name in made if A in name}
    run(second, "dvc", "pull", f"tracked/ipt/{B}.dvc")
    assert list_bytes(second / "artifacts") == made
    make_one(second, "ipt", "00000000000000cc", "third\n")
    mixlab(second, "track", "00000000000000cc")
    commit(second, "third")
    run(second, "dvc", "push", "tracked/ipt/00000000000000cc.dvc")
    run(first, "git", "pull", "--quiet", str(second), "main")
    assert "Restored 1 artifact" in mixlab(first, "restore", "00000000000000cc")
    assert list_bytes(first / "artifacts") == list_bytes(second / "artifacts")


def test_a_clone_restores_from_a_real_ssh_server(
    shelf: Path, ssh: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_ssh(shelf, ssh, tmp_path / "data")
    second = share(shelf, tmp_path)
    check_measures(shelf, monkeypatch)
    assert "Restored 2 artifacts" in mixlab(second, "restore", A, B)
    assert list_bytes(second / "artifacts") == list_bytes(shelf / "artifacts")


@pytest.mark.long
def test_two_clones_exchange_artifacts_through_a_real_ssh_server(shelf: Path, ssh: Server, tmp_path: Path) -> None:
    use_ssh(shelf, ssh, tmp_path / "data of the team")
    check_exchange(shelf, share(shelf, tmp_path))


def test_an_ssh_server_that_refuses_or_is_down_is_named_in_one_line_without_a_secret(
    shelf: Path, ssh: Server, tmp_path: Path
) -> None:
    make_one(shelf, "ipt", A, "here\n")
    use_ssh(shelf, ssh, tmp_path / "data", key="wrong_key")
    set_remote(shelf, local={"password": SECRET})
    said = mixlab(shelf, "track", A, "--push", code=2)
    assert f"ssh://127.0.0.1:{ssh.port}" in said
    assert "check user, key and host key" in said
    set_remote(shelf, url=f"ssh://somebody:{SECRET}@127.0.0.1:{find_port()}/data")
    down = mixlab(shelf, "track", A, "--push", code=2)
    assert "is it up, and may this machine reach it?" in down
    assert SECRET not in said + down
    assert "Traceback" not in said + down
    assert said.count("\n") == down.count("\n") == 1
    assert not (shelf / f"tracked/ipt/{A}.dvc").exists()


@pytest.mark.long
def test_two_clones_exchange_artifacts_through_an_s3(
    shelf: Path, s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_s3(shelf, s3)
    second = share(shelf, tmp_path)
    check_measures(shelf, monkeypatch)
    check_exchange(shelf, second)
    mixlab(shelf, "forget", A)
    commit(shelf, "forgotten")
    assert "Removed 3 objects" in mixlab(shelf, "gc", "--remote", "--alone", "--yes")


@pytest.mark.long
def test_an_s3_that_refuses_or_is_down_is_named_without_a_secret(
    shelf: Path, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_s3(shelf, s3)
    make_one(shelf, "ipt", A, "here\n")
    set_remote(shelf, url="s3://no-such-bucket/mixlab")
    refused = mixlab(shelf, "track", A, "--push", code=2)
    assert "no-such-bucket" in refused
    set_remote(shelf, endpointurl=f"http://127.0.0.1:{find_port()}")
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{SECRET}-session")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    down = mixlab(shelf, "track", A, "--push", code=2)
    assert "is it up, and may this machine reach it?" in down
    assert SECRET not in refused + down
    assert not (shelf / f"tracked/ipt/{A}.dvc").exists()
