"""What every test may ask for."""

import os
import signal
from pathlib import Path

import pytest

# Two test processes with two threads each, on two cores, spend most of their time waiting for each other's threads: a
# response surface took 10 s in place of 1. Read by OpenBLAS and OpenMP as they load, so before anything imports numpy.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data beside the checkout; a test that asks for it is skipped where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not there")
    return folder


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The Python of vLLM's environment; a test that asks for it is skipped where there is none."""
    python = REPOSITORY / ".venv-vllm/bin/python"
    # written last: an installation that broke off counts as none
    if not python.parents[1].joinpath(".installed").is_file():
        pytest.skip(f"no vLLM: {python.parents[1]} is not whole; `make vllm` installs it where it can be had")
    return python


def pytest_configure() -> None:
    """Hear SIGINT, and let programs that tests start hear it: a shell makes what it puts in the background deaf."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that Slurm was not tested; MIXLAB_REQUIRE_SLURM=1 makes it a failure."""
    skipped = [one for one in terminalreporter.stats.get("skipped", []) if "slurm" in one.keywords]
    if skipped:
        why = skipped[0].longrepr[2] if isinstance(skipped[0].longrepr, tuple) else str(skipped[0].longrepr)
        terminalreporter.section("SLURM WAS NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests skipped: {why} (MIXLAB_REQUIRE_SLURM=1 makes them fail)")
