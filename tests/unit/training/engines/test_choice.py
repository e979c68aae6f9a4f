"""Which device and how many ranks: what cannot be is refused before anything is trained."""

from pathlib import Path

import pytest
import torch
from training_fakes import settings, small_model

from mixlab.config.deepspeed import read_overlay
from mixlab.config.launching import LaunchSettings
from mixlab.config.problems import ConfigError, DataError
from mixlab.training.engines.choice import check_launch, choose_device
from mixlab.training.engines.engine import Place, assign_names
from mixlab.training.engines.memory import explain_exhaustion
from mixlab.training.engines.zero import ZeroEngine
from mixlab.training.engines.zero_config import build_config
from mixlab.training.models.weights import build_model
from mixlab.training.process import RESUBMIT, TERMINATED
from mixlab.training.run import agree

REPOSITORY = Path(__file__).resolve().parents[4]


def launch(**changes):
    return LaunchSettings.model_validate(changes)


def see_gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)


def test_a_gpu_that_is_asked_for_and_absent_is_an_error(monkeypatch):
    see_gpus(monkeypatch, 0)
    with pytest.raises(DataError, match=r"no GPU can be seen here .* or set launch\.device: cpu"):
        choose_device(launch(device="cuda"), Place())
    assert choose_device(launch(), Place()) == torch.device("cpu")


def test_every_process_of_a_node_has_a_gpu_of_its_own(monkeypatch):
    see_gpus(monkeypatch, 2)
    wanted = launch(processes_per_node=3)
    assert choose_device(wanted, Place(1, 3, 1)) == torch.device("cuda", 1)
    with pytest.raises(DataError, match="3 processes on a node need as many GPUs, but 2 can be seen"):
        choose_device(wanted, Place(2, 3, 2))
    assert choose_device(launch(device="cpu"), Place()) == torch.device("cpu")


def test_another_number_of_ranks_than_asked_for_is_an_error():
    with pytest.raises(DataError, match="1 nodes with 4 processes each make 4 ranks, but 1 found each other"):
        choose_device(launch(processes_per_node=4), Place())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"offload": "optimizer"}, "offload: optimizer needs parallelism zero1, zero2 or zero3, got ddp"),
        ({"offload": "optimizer_and_weights", "parallelism": "zero2"}, "needs parallelism zero3, got zero2"),
        ({"deepspeed_config": "a.json"}, "deepspeed_config: needs parallelism zero1"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        launch(**changes)


def test_muon_over_shared_weights_is_refused_by_name():
    muon = {"name": "muon", "learning_rate": 0.01, "other_learning_rate": 0.01}
    wanted, zero = settings(optimizer=muon), launch(parallelism="zero2")
    with pytest.raises(DataError, match=r"muon needs whole matrices, which zero2 spreads .* set launch\.parallelism"):
        ZeroEngine(build_model(small_model(), 1), wanted, torch.device("cpu"), Place(), None, zero, {}, None)


def test_deepspeeds_file_sets_speed_and_nothing_else(tmp_path):
    path = tmp_path / "zero.json"
    path.write_text('{"zero_optimization": {"reduce_bucket_size": 7}, "comms_logger": {"enabled": true}}')
    config = build_config(launch(parallelism="zero2", offload="optimizer"), settings(), read_overlay(path))
    assert config["zero_optimization"] == {
        "reduce_bucket_size": 7,
        "stage": 2,
        "offload_optimizer": {"device": "cpu"},
    }
    assert (config["gradient_clipping"], config["comms_logger"]) == (1.0, {"enabled": True})
    path.write_text('{"zero_optimization": {"stage": 3}, "gradient_clipping": 3, "optimizer": {}}')
    with pytest.raises(ConfigError) as caught:
        read_overlay(path)
    assert [problem.key for problem in caught.value.problems] == [
        "gradient_clipping",
        "optimizer",
        "zero_optimization.stage",
    ]
    path.write_text("{")
    with pytest.raises(ConfigError, match="no readable JSON"):
        read_overlay(path)


def test_the_profiles_for_deepspeed_are_taken():
    profiles = sorted((REPOSITORY / "profiles/deepspeed").glob("*.json"))
    assert len(profiles) >= 2
    assert all(read_overlay(path)["zero_optimization"] for path in profiles)


def test_names_are_dealt_out_evenly_and_each_once():
    sizes = {f"w{number}": number * number for number in range(1, 12)}
    parts = assign_names(sizes, 3)
    assert sorted(name for part in parts for name in part) == sorted(sizes)
    loads = [sum(sizes[name] for name in part) for part in parts]
    assert max(loads) - min(loads) <= 121
    assert assign_names(dict(reversed(sizes.items())), 3) == parts


class Answers:
    """A crew whose sums are given."""

    rank, ranks = 1, 2

    def __init__(self, *sums):
        self.sums, self.asked = list(sums), None

    def sum(self, values):
        self.asked = list(values)
        return self.sums


def test_all_ranks_end_when_one_is_asked_and_save_by_the_clock_of_the_first():
    assert agree(Answers(0, 0, 1), 0, False) == (0, True)
    assert agree(Answers(1, 0, 0), 0, False) == (RESUBMIT, False)
    assert agree(Answers(1, 1, 0), RESUBMIT, False) == (TERMINATED, False)
    second = Answers(0, 0, 0)
    agree(second, 0, True)
    assert second.asked == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_exhausted_memory_names_the_settings_that_help(error):
    with (
        pytest.raises(
            DataError, match=r"micro_batch_windows \(6 now\), turn on activation checkpointing.*zero1.*offlo"
        ),
        explain_exhaustion(6),
    ):
        raise error


def test_another_error_is_not_taken_for_exhausted_memory():
    with pytest.raises(RuntimeError, match="shapes differ"), explain_exhaustion(6):
        raise RuntimeError("shapes differ")


def test_zero_without_deepspeed_names_the_installation(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"zero1 needs DeepSpeed; install it by DS_BUILD_OPS=0 pip install"):
        check_launch(settings(), launch(parallelism="zero1"))


def test_rolling_back_under_zero_is_refused_with_the_cure():
    spikes = {"action": "rollback"}
    with pytest.raises(DataError, match=r"rollback cannot go back under zero2.*set launch.parallelism: ddp, or action"):
        check_launch(settings(spikes=spikes), launch(parallelism="zero2"))
    check_launch(settings(spikes=spikes), launch(parallelism="ddp"))
