"""Servers of one's own on the loopback: OpenSSH's sshd, and an S3 that moto serves; each with a remote to use it."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from configobj import ConfigObj

SECRET = "planted-secret-c0ffee"
"""A password, key or token that no output may show."""

SECTION = 'remote "store"'
"""Where DVC's settings hold the remote."""

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
MaxStartups 100
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Server:
    """A server on the loopback: its port, and the folder of its keys (SSH)."""

    port: int
    folder: Path


def find_port() -> int:
    """Find a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Wait until somebody listens; fails with the server's own words when it ends instead."""
    end = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.05)


@contextmanager
def serve(command: list[str], port: int, folder: Path) -> Iterator[Server]:
    """Run a server while the block lasts, and end it with its children."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_open(port, process, log)
        yield Server(port, folder)
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def serve_ssh(folder: Path) -> Iterator[Server]:
    """A real sshd with a host key and a user key of its own; skips where there is none."""
    if SSHD is None:
        pytest.skip("no sshd: apt-get install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(parents=True)
    port = find_port()
    for name in ("host_key", "user_key", "wrong_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(port=port, folder=folder))
    with serve([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], port, folder) as server:
        yield server


def set_remote(root: Path, local: Mapping[str, str] | None = None, **settings: str) -> None:
    """Set what `dvc remote modify [--local] store` would, without starting DVC for each value."""
    for name, values in (("config", settings), ("config.local", local or {})):
        path = root / ".dvc" / name
        known = ConfigObj(str(path), encoding="utf-8")
        known.setdefault(SECTION, {}).update(values)
        known.write()


def use_ssh(root: Path, server: Server, place: Path, key: str = "user_key") -> None:
    """Make a folder behind the server the default remote of a copy; the key's path is this machine's business."""
    keyfile = str(server.folder / key)
    url = f"ssh://127.0.0.1:{server.port}{place}"
    set_remote(root, local={"user": getpass.getuser(), "keyfile": keyfile}, url=url)


@contextmanager
def serve_s3(folder: Path) -> Iterator[Server]:
    """An S3 that moto serves, with the bucket `artifacts`."""
    folder.mkdir(parents=True)
    port = find_port()
    with serve([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port, folder) as server:
        import httpx2

        assert httpx2.put(f"http://127.0.0.1:{port}/artifacts").status_code == 200
        yield server


def use_s3(root: Path, server: Server) -> None:
    """Make the bucket the default remote of a copy; the credentials stand in .dvc/config.local, which git ignores."""
    local = {"access_key_id": "somebody", "secret_access_key": SECRET}
    set_remote(root, local, url="s3://artifacts/mixlab", endpointurl=f"http://127.0.0.1:{server.port}")
