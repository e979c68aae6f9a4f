"""`mixlab watch`: what is told of training runs, from their metrics alone."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from click.testing import Result

from mixlab.training.watching.metrics import MetricsFile

Invoke = Callable[..., Result]
DONE, OPEN, STOPPED = "aaaa" * 4, "aabb" * 4, "cccc" * 4


def write_run(root: Path, stage: str, key: str, steps: int, *, end: str = "") -> None:
    file = MetricsFile(root / "metrics" / stage / f"{key}.jsonl")
    file.write("start", {"label": f"study/{stage}", "first_step": 1, "steps": 20})
    file.write("validation", {"step": 0, "losses": {"en/raw": 4.0}})
    for step in range(1, steps + 1):
        row = {"step": step, "loss": 4.0 - step / 10, "learning_rate": 0.001, "gradient_norm": 0.5, "tokens": 64}
        file.write("step", {**row, "tokens_per_second": 12345.6, "mfu": None, "data_share": 0.01})
    file.write("validation", {"step": steps, "losses": {"en/raw": 3.0}})
    if end:
        file.write(end, {"step": steps + 1, "loss": float("nan")} if end == "not_finite" else {})
    file.close()


@pytest.fixture
def watched(micro: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    seconds = count(1_800_000_000)
    monkeypatch.setattr("mixlab.training.watching.metrics.time.time", lambda: next(seconds))
    write_run(micro, "pretrain", DONE, 20, end="end")
    write_run(micro, "ipt", OPEN, 7)
    write_run(micro, "sft", STOPPED, 3, end="not_finite")
    return micro


def test_every_run_is_one_line(watched: Path, invoke: Invoke) -> None:
    lines = invoke("watch").stdout.splitlines()
    cells = [" ".join(line.split()) for line in lines[1:]]
    assert cells[0].startswith(f"pretrain {DONE} ended 20/20 2 12346 - 1 ")
    assert cells[0].endswith("study/pretrain")
    assert cells[1].startswith(f"ipt {OPEN} open 7/20 3.3 ")
    assert cells[2].startswith(f"sft {STOPPED} not finite 3/20 3.7 ")


def test_a_run_is_shown_by_the_beginning_of_its_key_with_its_last_steps_and_what_happened(
    watched: Path, invoke: Invoke
) -> None:
    said = invoke("watch", "ccc", "aab", "--last", "2").stdout
    first, second = said.split(f"ipt {OPEN}")
    assert "not finite, step 3 of 20, starts: 1" in first
    assert "validation en/raw: 4 -> 3 (step 0 -> 3)" in first
    assert "! step 4: not finite, loss nan" in first
    rows = [line.split() for line in second.splitlines() if line.strip().startswith(("6 ", "7 "))]
    assert rows == [
        ["6", "3.4", "0.001", "0.5", "12346", "-", "0.01"],
        ["7", "3.3", "0.001", "0.5", "12346", "-", "0.01"],
    ]


def test_json_tells_the_same(watched: Path, invoke: Invoke) -> None:
    runs = json.loads(invoke("watch", "--json").stdout)
    assert [(one["stage"], one["state"], one["step"]) for one in runs] == [
        ("pretrain", "ended", 20),
        ("ipt", "open", 7),
        ("sft", "not finite", 3),
    ]
    (one,) = json.loads(invoke("watch", "aab", "--json", "--last", "3").stdout)
    assert [row["step"] for row in one["last"]] == [5, 6, 7]


@pytest.mark.parametrize("name", ["losses.png", "losses.svg"])
def test_loss_curves_are_drawn(watched: Path, invoke: Invoke, name: str) -> None:
    assert f"drawn: {name}" in invoke("watch", "aa" * 2, "aab", "--plot", name).stdout
    drawn = (watched / name).read_bytes()
    assert drawn.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    assert len(drawn) > 5000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("watch", "aa"), f"'aa' is the beginning of several keys; runs: pretrain {DONE}, ipt {OPEN}"),
        (("watch", "dd", "ee"), "'ee' is the beginning of no run's key"),
        (("watch", "--plot", "losses.bmp"), "name a file that ends in .png, .svg, .pdf"),
    ],
)
def test_a_mistake_is_told(watched: Path, invoke: Invoke, arguments: tuple[str, ...], told: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_folder_without_runs_says_so(micro: Path, invoke: Invoke) -> None:
    assert invoke("watch").stdout == "no training run has been watched here\n"
    assert "no run has a loss to draw yet" in invoke("watch", "--plot", "losses.png").stderr
