"""The paper's grid by formula: tokens of a run, operations of all instruction pre-training, GPU-hours at 40 % MFU."""

import sys
from pathlib import Path

import pytest

from mixlab.artifacts.states import States
from mixlab.artifacts.store import Store
from mixlab.config.pricing import GPUS
from mixlab.plan.arithmetic import render_arithmetic
from mixlab.plan.build import build_plan
from mixlab.plan.demand import build_demand
from mixlab.plan.price import build_lines, list_runs, sum_lines
from mixlab.plan.workload import Workloads

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "performance"))
from grid import build_paper_study, write_paper_study

STEPS, WINDOWS = 25_000, 1_024
SHAPES = {
    # layers, heads, head size, weights of the layers' projections, vocabulary rows x width (Tables 6 and 15)
    "llmjp3": (24, 16, 128, 24 * (4 * 2048**2 + 3 * 2048 * 7168), 99_584 * 2048),
    "qwen2.5": (28, 12, 128, 28 * (2 * 1536**2 + 2 * 1536 * 256 + 3 * 1536 * 8960), 151_936 * 1536),
    "llama-inhouse": (16, 16, 128, 16 * (2 * 2048**2 + 2 * 2048 * 1024 + 3 * 2048 * 7168), 99_584 * 2048),
    "llama3.2": (16, 32, 64, 16 * (2 * 2048**2 + 2 * 2048 * 512 + 3 * 2048 * 8192), 128_256 * 2048),
}


def count_by_hand(name: str, length: int) -> int:
    layers, heads, size, weights, head = SHAPES[name]
    tokens = STEPS * WINDOWS * length
    return 6 * weights * tokens + 6 * head * tokens + 6 * layers * heads * size * tokens * length


def test_the_papers_grid_is_reproduced_by_formula(tmp_path: Path) -> None:
    write_paper_study(tmp_path, build_paper_study())
    planned = build_plan(tmp_path)
    nothing = States(frozenset(), frozenset(), frozenset())
    demand = build_demand(planned.plan, nothing, [key for keys in planned.plan.targets.values() for key in keys])
    workloads = Workloads(planned.plan, Store(tmp_path), planned.files, planned.facts)
    runs = list_runs(workloads, nothing, demand)
    trained = [run for run in runs if run.node.stage == "ipt"]
    tokens = {(run.base_model, run.workload.tokens, run.workload.steps) for run in trained if run.workload}
    assert tokens == {
        ("llmjp3", 104_857_600_000, STEPS),
        *((name, 209_715_200_000, STEPS) for name in SHAPES if name != "llmjp3"),
    }
    by_hand = {name: count_by_hand(name, 4096 if name == "llmjp3" else 8192) for name in SHAPES}
    assert {(run.base_model, run.flops) for run in trained} == set(by_hand.items())
    lines = build_lines(runs, GPUS["h100"], {}, None, 0.4)
    total = sum_lines([line for line in lines if line.stage == "ipt"], "ipt").to_do
    assert (total.runs, total.flops) == (100, 25 * sum(by_hand.values()))
    assert total.gpu_hours == pytest.approx(total.flops / (989.5e12 * 0.4) / 3600)
    assert (f"{total.flops:.3g}", f"{total.gpu_hours:,.0f}") == ("1.8e+23", "126,080")
    told = "\n".join(render_arithmetic(workloads, runs, lines, GPUS["h100"]))
    assert "llmjp3, ipt: 104,857,600,000 tokens in 25,000 steps of 1,024 windows of at most 4,096 tokens" in told
    assert "(989.5e12 FLOP/s in bfloat16 x 0.4 MFU x 3600 s) = 823.4 GPU-hours a run" in told
