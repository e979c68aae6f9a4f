import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.long
def test_the_program_measures_loop_trainer_and_loader():
    command = [sys.executable, "performance/training.py", "--quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outside = float(re.search(r"(\S+)% of it outside forward, backward and optimizer", done.stdout)[1])
    assert 0 < outside < 10
    assert "transformers Trainer" in done.stdout
    assert float(re.search(r"loader alone +(\S+) M tokens", done.stdout)[1]) >= 3
