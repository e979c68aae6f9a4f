"""A real Slurm that is this machine alone: a controller and two nodes on loopback, for one session of tests.

Hardware is pretended, so that two nodes of eight cores fit on any machine; jobs are real. Without accounts `sacct` only
fails and Snakemake must ask `squeue`; with them a database and Slurm's daemon of accounts run beside.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("slurmctld", "slurmd", "munged", "srun", "sbatch")
SYSTEM = Path("/etc/slurm/slurm.conf")
"""Where Slurm looks without SLURM_CONF, which Snakemake's executor takes out of the environment of its steps."""
NODES = ("n1", "n2")
ACCOUNTING_PACKAGES = ("slurmdbd", "mariadb-server")
ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db")

_CONFIG = """\
ClusterName=laboratory
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
{accounting}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=1
ReturnToService=2
SlurmdTimeout=20
KillWait=3
MinJobAge=3600
InactiveLimit=0
{nodes}
PartitionName=gpu Nodes=ALL Default=YES MaxTime=60 State=UP
PartitionName=cpu Nodes=ALL MaxTime=60 State=UP
"""
_NO_ACCOUNTS = "AccountingStorageType=accounting_storage/none"
_ACCOUNTS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=associations,limits"""
_DAEMON_OF_ACCOUNTS = """\
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[2]}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm_acct_db
"""
_DATABASE = (
    "--bind-address=127.0.0.1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=2",
)
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=16000"


def find_obstacle(has_accounts: bool = False) -> str:
    """Say why there can be no Slurm here, after installing what may be installed; empty where there can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    if missing := _install(PROGRAMS, PACKAGES):
        return f"no Slurm here, and {missing}"
    if has_accounts and (missing := _install(ACCOUNTING_PROGRAMS, ACCOUNTING_PACKAGES)):
        return f"no accounts of Slurm here, and {missing}"
    if os.path.lexists(SYSTEM) and not _is_stale(SYSTEM):
        return f"{SYSTEM} is there: another Slurm is up"
    return ""


def _install(programs: Sequence[str], packages: Sequence[str]) -> str:
    """Install what is not there; say what forbids it."""
    if all(shutil.which(program) is not None for program in programs):
        return ""
    if shutil.which("apt-get") is None:
        return f"no apt-get to install {' '.join(packages)}"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=env, capture_output=True, check=False, timeout=300)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    return f"apt-get cannot install it: {done.stderr.strip()[-300:]}" if done.returncode else ""


def _is_stale(link: Path) -> bool:
    """Whether a link is of a session of ours that was killed: its controller is gone."""
    if not link.is_symlink():
        return False
    pid = _read_pid(link.readlink().parent / "slurmctld.pid")
    return pid is None or not psutil.pid_exists(pid)


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


class PrivateSlurm:
    """The daemons and their folder; `up` and `down` once, nodes may be killed and started in between."""

    def __init__(self, folder: Path, has_accounts: bool = False) -> None:
        self.folder = folder
        self.has_accounts = has_accounts
        self._database: subprocess.Popen[bytes] | None = None
        self.config = folder / "slurm.conf"
        self.variables = {"SLURM_CONF": str(self.config)}

    def up(self) -> None:
        """Start everything and wait until a step runs on both nodes; fails with the daemons' last words."""
        self.folder.chmod(0o755)
        self._write_config()
        SYSTEM.parent.mkdir(parents=True, exist_ok=True)
        SYSTEM.unlink(missing_ok=True)
        SYSTEM.symlink_to(self.config)
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
        places = [f"--{name}={self.folder / file}" for name, file in {**files, "seed-file": "munge.seed"}.items()]
        self._run("munged", "--force", *places)
        if self.has_accounts:
            self._start_accounts()
        self._run("slurmctld", "-c", "-f", str(self.config))
        for name in NODES:
            self.start_node(name)
        probe = ["srun", "--nodes", str(len(NODES)), "--ntasks-per-node", "1", "--immediate=60", "true"]
        done = subprocess.run(probe, env=self._environment(), capture_output=True, text=True, check=False, timeout=90)
        if done.returncode:
            words = [path.read_text()[-800:] for path in sorted(self.folder.glob("slurm*.log"))]
            raise RuntimeError("\n".join([f"no Slurm came up: {done.stderr}", *words]))

    def down(self) -> None:
        """End every job, then every daemon, and take the link away."""
        if (self.folder / "slurmctld.pid").exists():
            numbers = self._say("squeue", "--noheader", "--format", "%i").split()
            self._say("scancel", *numbers)
            end = time.monotonic() + 20
            while self._say("squeue", "--noheader") and time.monotonic() < end:
                time.sleep(0.5)
        for name in [*(f"slurmd-{node}" for node in NODES), "slurmctld", "slurmdbd", "mariadbd", "munged"]:
            self._end(name)
        if self._database is not None:
            self._database.wait(30)
            self._database = None
        if SYSTEM.is_symlink() and SYSTEM.readlink() == self.config:
            SYSTEM.unlink()

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        self._run("slurmd", "-c", "-f", str(self.config), "-N", name)

    def kill_node(self, name: str) -> None:
        """Let a node die as by a power cut: its daemon and all that it runs, at once."""
        doomed = [psutil.Process(pid)] if (pid := _read_pid(self.folder / f"slurmd-{name}.pid")) else []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLURMD_NODENAME") == name:
                    steps = [one for one in process.parents() if one.name().startswith("slurmstepd")]
                    doomed += [process, *steps]
            except psutil.Error:
                continue
        for process in dict.fromkeys(doomed):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue

    def _write_config(self) -> None:
        ports = _find_ports(len(NODES) + 3)
        host = socket.gethostname().partition(".")[0]
        nodes = [_NODE.format(name=name, host=host, port=port) for name, port in zip(NODES, ports[3:], strict=True)]
        accounting = _ACCOUNTS.format(port=ports[1], folder=self.folder) if self.has_accounts else _NO_ACCOUNTS
        places = {"host": host, "ports": ports, "folder": self.folder}
        self.config.write_text(_CONFIG.format(**places, nodes="\n".join(nodes), accounting=accounting))
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        secret = self.folder / "slurmdbd.conf"
        secret.touch(mode=0o600)
        self._password, self._database_port = secrets.token_hex(16), ports[2]
        secret.write_text(_DAEMON_OF_ACCOUNTS.format(**places, password=self._password))
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(exist_ok=True)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))

    def _start_accounts(self) -> None:
        """Start the database, the daemon of accounts, and give this user the account `ours`."""
        database, at = self.folder / "database", f"--socket={self.folder / 'mariadbd.socket'}"
        own = ("--no-defaults", f"--datadir={database}", "--user=root")
        if not database.exists():
            self._run("mariadb-install-db", *own, "--auth-root-authentication-method=normal", "--skip-test-db")
        command = ["mariadbd", *own, *_DATABASE, at, f"--port={self._database_port}"]
        files = [f"--pid-file={self.folder / 'mariadbd.pid'}", f"--log-error={self.folder / 'mariadbd.log'}"]
        self._database = subprocess.Popen([*command, *files], stdin=subprocess.DEVNULL, start_new_session=True)
        self._wait("mariadb-admin", "--no-defaults", at, "--user=root", "ping")
        orders = (
            "create database if not exists slurm_acct_db",
            f"create or replace user slurm@'127.0.0.1' identified by '{self._password}'",
            "grant all on slurm_acct_db.* to slurm@'127.0.0.1'",
        )
        self._run("mariadb", "--no-defaults", at, "--user=root", f"--execute={'; '.join(orders)}")
        self._run("slurmdbd")
        self._wait("sacctmgr", "--noheader", "show", "cluster")
        for order in ("cluster laboratory", "account ours", "user root account=ours"):
            self._say("sacctmgr", "--immediate", "--quiet", "add", *order.split())

    def _wait(self, *command: str) -> None:
        end = time.monotonic() + 60
        while subprocess.run(command, env=self._environment(), capture_output=True, check=False).returncode:
            if time.monotonic() > end:
                raise RuntimeError(f"{command[0]} is never answered")
            time.sleep(0.5)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables}

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr}")

    def _say(self, *command: str) -> str:
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False, timeout=60)
        return done.stdout

    def _end(self, name: str) -> None:
        pid = _read_pid(self.folder / f"{name}.pid")
        if pid is None or not psutil.pid_exists(pid):
            return
        process = psutil.Process(pid)
        if process.name() == name.partition("-")[0]:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except psutil.TimeoutExpired:
                process.kill()


def _find_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
