"""TensorBoard, read back by its own reader; W&B, by a stand-in that writes down what it is told."""

import sys
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_train import Killed, kill_after, read_log, run_training

from mixlab.config.problems import ConfigError
from mixlab.config.tracking import TrackingSettings
from mixlab.training.watching.trackers import open_trackers
from mixlab.training.watching.watch import Watching


def read_scalars(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(one.step, round(one.value, 4)) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_shows_every_step_once_and_of_a_repeated_one_the_newer(tmp_path):
    settings = TrackingSettings(tensorboard=True)
    for first, last, loss in ((1, 6, 1.0), (4, 7, 2.0)):
        (tracker,) = open_trackers(settings, tmp_path, "ipt/key", "a run", first)
        for step in range(first, last + 1):
            tracker.log(step, {"training/loss": loss, "training/mfu": step / 10})
        tracker.close()
    scalars = read_scalars(tmp_path / "tensorboard" / "ipt" / "key")
    assert scalars["training/loss"] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0), (6, 2.0), (7, 2.0)]
    assert scalars["training/mfu"][-1] == (7, 0.7)


class FakeWandb:
    """The part of wandb that is used, with its signatures."""

    class Error(Exception):
        """What wandb raises."""

    def __init__(self):
        self.started, self.rows, self.metrics, self.finished = None, [], [], 0

    def Settings(self, **settings):
        return settings

    def init(self, **arguments):
        self.started = arguments
        return SimpleNamespace(log=self.rows.append, define_metric=self.define, finish=self.finish)

    def define(self, name, step_metric=None):
        self.metrics.append((name, step_metric))

    def finish(self):
        self.finished += 1


def test_wandb_is_offline_unless_asked_and_goes_on_with_the_run_of_the_same_key(tmp_path, monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    settings = TrackingSettings.model_validate({"wandb": {"project": "mixtures"}})
    (tracker,) = open_trackers(settings, tmp_path, "ipt/0123", "demo/even", 1)
    tracker.log(3, {"training/loss": 1.5})
    tracker.close()
    started = fake.started
    assert started["mode"] == "offline"
    assert (started["project"], started["entity"], started["name"]) == ("mixtures", None, "demo/even")
    assert (started["id"], started["resume"]) == ("ipt-0123", "allow")
    assert started["dir"] == str(tmp_path)
    assert started["settings"] == {"disable_code": True, "disable_git": True, "console": "off"}
    assert "config" not in started
    assert fake.metrics == [("step", None), ("*", "step")]
    assert fake.rows == [{"step": 3, "training/loss": 1.5}]
    assert fake.finished == 1


def test_a_refusal_of_wandb_is_told_with_its_cure(tmp_path, monkeypatch):
    fake = FakeWandb()

    def refuse(**_):
        raise fake.Error("api_key not configured (no-tty)")

    monkeypatch.setattr(fake, "init", refuse)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    settings = TrackingSettings.model_validate({"wandb": {"mode": "online"}})
    with pytest.raises(ConfigError, match=r"machine.tracking.wandb: .*not configured.*; run `wandb login`, or write"):
        open_trackers(settings, tmp_path, "ipt/key", "", 1)


@pytest.mark.parametrize(
    ("settings", "module", "key"),
    [({"wandb": {}}, "wandb", "wandb"), ({"tensorboard": True}, "tensorboard", "tensorboard")],
)
def test_a_library_that_is_missing_is_named_with_what_to_install(tmp_path, monkeypatch, settings, module, key):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(module), *sys.meta_path])
    with pytest.raises(ConfigError, match=rf"machine.tracking.{key}: .*pip install 'mixlab\[{key}\]'"):
        open_trackers(TrackingSettings.model_validate(settings), tmp_path, "ipt/key", "", 1)
    assert not list(tmp_path.iterdir())


class Missing:
    """A finder by which a library is not there."""

    def __init__(self, module):
        self._module = module

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self._module:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def test_nothing_is_opened_unless_it_is_asked_for(tmp_path):
    assert open_trackers(TrackingSettings(), tmp_path, "ipt/key", "", 1) == []
    assert not list(tmp_path.iterdir())


def test_a_killed_run_shows_every_step_once_in_tensorboard_and_goes_on_under_its_id_in_wandb(tmp_path, monkeypatch):
    fake, started = FakeWandb(), []
    begin = fake.init
    monkeypatch.setattr(fake, "init", lambda **given: started.append(given["id"]) or begin(**given))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    tracking = TrackingSettings.model_validate({"tensorboard": True, "wandb": {}})
    watching = Watching(tmp_path / "metrics", "ipt/key", "a run", tracking)
    with monkeypatch.context() as patch:
        kill_after(patch, 8)
        with pytest.raises(Killed):
            run_training(tmp_path, save_every_steps=3, watching=watching)
    assert fake.finished == 1
    run_training(tmp_path, save_every_steps=3, watching=watching)
    assert (started, fake.finished) == (["ipt-key", "ipt-key"], 2)
    assert [row["step"] for row in fake.rows] == [*range(1, 9), *range(7, 13)]
    scalars = read_scalars(tmp_path / "metrics/tensorboard/ipt/key")
    logged = [float(row["loss"]) for row in read_log(tmp_path / "out")]
    assert scalars["training/loss"] == [(step, pytest.approx(loss, abs=1e-4)) for step, loss in enumerate(logged, 1)]
    assert scalars.keys() == {name for row in fake.rows for name in row if name != "step"}
    # what is not known, as MFU without a peak, is left out, and nothing but numbers is sent
    assert "training/mfu" not in scalars
    assert {type(value) for row in fake.rows for name, value in row.items() if name != "step"} == {float}
