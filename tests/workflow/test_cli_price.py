"""`mixlab price`: a table by base model and stage, what it is based on, and how mistakes are told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mixlab.artifacts.store import Store

Invoke = Callable[..., Result]


def test_price_says_what_is_done_what_is_to_do_and_what_it_is_based_on(micro: Path, invoke: Invoke) -> None:
    before = json.loads(invoke("price", "--json").stdout)
    assert [(line["stage"], line["to_do"]["runs"], line["done"]["runs"]) for line in before["lines"]] == [
        ("pretrain", 1, 0),
        ("ipt", 2, 0),
        ("sft", 4, 0),
    ]
    (total,) = before["totals"]
    assert total["to_do"]["flops"] == sum(line["to_do"]["flops"] for line in before["lines"]) > 0
    assert total["to_do"]["flops"] == sum(run["flops"] for run in before["runs"])
    assert before["not_priced"] == {"average": 2, "generate": 12}
    one = next(run for run in before["runs"] if run["stage"] == "ipt")
    path = Store(micro).manifest_path("ipt", one["key"])
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    noted = micro / "provenance/ipt" / one["key"] / "a.json"
    noted.parent.mkdir(parents=True)
    noted.write_text(json.dumps({"facts": {"mfu": "0.2500", "device": "NVIDIA H200"}}))
    after = json.loads(invoke("price", "--json").stdout)
    ipt = after["lines"][1]
    assert (ipt["to_do"]["runs"], ipt["done"]["runs"], ipt["done"]["flops"]) == (1, 1, one["flops"])
    assert ipt["utilisation"] == {"mfu": 0.25, "basis": "measured", "runs": 1, "devices": ["NVIDIA H200"]}
    text = invoke("price").stdout
    assert "MFU of tiny, ipt: median of 1 measured on NVIDIA H200" in text
    assert "not priced: 2 average, 12 generate" in text


def test_a_given_gpu_and_mfu_and_the_settings_of_the_machine_are_heeded(micro: Path, invoke: Invoke) -> None:
    plain = json.loads(invoke("price", "--json").stdout)["totals"][-1]["to_do"]
    given = json.loads(invoke("price", "--json", "--gpu", "a100", "--mfu", "0.8").stdout)
    assert given["gpu"]["name"] == "a100"
    assert given["totals"][-1]["to_do"]["gpu_hours"] == pytest.approx(plain["gpu_hours"] * 67 * 0.4 / (19.5 * 0.8))
    config = micro / "config.yaml"
    devices = "{mine: {bfloat16: 1e12, float32: 67e9, source: its maker}}"
    pricing = f"{{gpu: mine, gpus: {devices}, mfu: 0.2, price_per_gpu_hour: 3, currency: JPY}}"
    config.write_text(f"{config.read_text()}  pricing: {pricing}\n")
    own = json.loads(invoke("price", "--json").stdout)
    cost = own["totals"][-1]["to_do"]
    assert cost["gpu_hours"] == pytest.approx(plain["gpu_hours"] * 2000)
    assert (cost["price"], own["currency"]) == (pytest.approx(cost["gpu_hours"] * 3), "JPY")
    text = invoke("price").stdout
    assert " JPY), 7 runs; done: 0 GPU-hours (0.00 JPY), 0 runs" in text
    assert "mine: 1 TFLOP/s in bfloat16, 0.067 in float32 (its maker)" in text


def test_what_is_not_known_is_told_and_not_summed(micro: Path, invoke: Invoke) -> None:
    study = micro / "studies/micro.yaml"
    text = study.read_text().replace("budget: {tokens: 12000}", "budget: {epochs: 2}")
    study.write_text(text)
    said = invoke("price").stdout
    assert said.splitlines()[1].split()[:8] == ["tiny", "pretrain", "0", "1", "?", "?", "?", "?"]
    assert "7 runs and 1 run not known" in said
    assert "not known for 1 run, and in no sum: the budget of its mixture is in epochs" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--mfu", "0"), "not in the range 0<x<=1"),
        (("--mfu", "40"), "not in the range 0<x<=1"),
        (("--mfu", "nan"), "not in the range 0<x<=1"),
        (("--gpu", "h10"), "no GPU is named 'h10'; did you mean 'h100'?"),
        (("--study", "mirco"), "no such study; did you mean 'micro'?"),
    ],
)
def test_a_mistake_is_told_with_its_cure(micro: Path, invoke: Invoke, arguments: tuple[str, ...], told: str) -> None:
    result = invoke("price", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_mistake_in_the_settings_of_the_machine_is_told_where_it_stands(micro: Path, invoke: Invoke) -> None:
    config = micro / "config.yaml"
    config.write_text(f"{config.read_text()}  pricing: {{gpu: h10, mfu: 40}}\n")
    result = invoke("price")
    assert result.exit_code == 2
    assert "config.yaml:5: machine.pricing.mfu:" in result.stderr
    assert "config.yaml:5: machine.pricing.gpu: no GPU is named 'h10'; did you mean 'h100'?" in result.stderr
