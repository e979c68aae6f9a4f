"""What the host of score asks of the machine's sandbox."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mixlab.config.machine import MachineSettings
from mixlab.config.problems import UserError
from mixlab.generation.responses import Response, write_response_files
from mixlab.plan.specs import ScoreSpec
from mixlab.stages import score

ITEM = {"id": "a", "prompt": "def f(x):\n", "entry_point": "f", "test": "def check(f):\n    assert f(1) == 1\n"}


def test_a_machine_that_requires_a_strong_sandbox_scores_no_code_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses = [Response("a", ["q"], ["d"], ["    return x\n"], [3], [2], ["stop"])]
    write_response_files(responses, tmp_path)
    machine = MachineSettings(sandbox_require="strong")
    inputs = SimpleNamespace(machine=machine, threads=1, spec=lambda role: None, one=lambda role: tmp_path)
    monkeypatch.setattr(score, "read_source", lambda *given: [ITEM])
    monkeypatch.setattr("mixlab.evaluation.sandbox.shutil.which", lambda name: None)
    spec = ScoreSpec.model_validate({"scoring": {"scorer": "python_tests"}})
    with pytest.raises(UserError, match="install bubblewrap and libseccomp") as told:
        score.run(spec, inputs, tmp_path)  # type: ignore[arg-type]
    assert told.value.exit_code == 2


@pytest.mark.parametrize(("asked", "threads", "at_a_time"), [(8, 1, 1), (8, 3, 3), (2, 4, 2)])
def test_no_more_programs_run_at_a_time_than_the_job_has_threads(
    asked: int, threads: int, at_a_time: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = MachineSettings(sandbox_workers=asked)
    inputs = SimpleNamespace(machine=machine, threads=threads, spec=lambda role: None, one=lambda role: tmp_path)
    given: dict[str, int] = {}
    monkeypatch.setattr(score, "read_source", lambda *given: [ITEM])
    monkeypatch.setattr(score, "write_scores", lambda *files, workers, require: given.update(workers=workers))
    score.run(ScoreSpec.model_validate({"scoring": {"scorer": "python_tests"}}), inputs, tmp_path)  # type: ignore[arg-type]
    assert given == {"workers": at_a_time}
