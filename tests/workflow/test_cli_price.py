"""`mixlab price`: tables by stage, base model and benchmark, what they are based on, and how mistakes are told."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkouts import SHIPPED
from click.testing import Result

from mixlab.artifacts.manifest import write_manifest
from mixlab.artifacts.records import parse_moment
from mixlab.artifacts.store import Store, write_json
from mixlab.plan.bundles import find_failed
from mixlab.plan.workflow import open_workflow

Invoke = Callable[..., Result]
HOPPER = "NVIDIA H100 80GB HBM3"


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
    counts = {line["stage"]: (line["artifacts"], line["jobs"]) for line in before["stages"]}
    assert (counts["ipt"], counts["average"], counts["generate"]) == ((2, 2), (2, 2), (12, 6))
    asked = {line["benchmark"]: (line["items"], line["prompts"]) for line in before["generation"]}
    # six models are asked 8 questions, and 4 dialogues of two turns
    assert asked == {"demo_math_en": (48, 48), "demo_dialogue_en": (24, 48), "total": (72, 96)}
    assert before["verdicts"] == {"judge": 96}
    one = next(run for run in before["runs"] if run["stage"] == "ipt")
    path = Store(micro).manifest_path("ipt", one["key"])
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    noted = micro / "provenance/ipt" / one["key"] / "a.json"
    noted.parent.mkdir(parents=True)
    noted.write_text(json.dumps({"facts": {"mfu": "0.2500", "device": HOPPER}}))
    after = json.loads(invoke("price", "--json").stdout)
    ipt = after["lines"][1]
    assert (ipt["to_do"]["runs"], ipt["done"]["runs"], ipt["done"]["flops"]) == (1, 1, one["flops"])
    assert ipt["utilisation"] == {"mfu": 0.25, "basis": "measured", "runs": 1, "devices": [HOPPER]}
    text = invoke("price").stdout
    assert f"MFU of tiny, ipt: median of 1 measured on {HOPPER}" in text
    assert "judge: 96 verdicts, none of them asks a model" in text
    assert "time not known, and in no sum: source, contamination" in text
    assert not (micro / "stores").exists()


def test_what_another_study_measured_is_used(micro: Path, invoke: Invoke, caplog: pytest.LogCaptureFixture) -> None:
    text = (micro / "studies/micro.yaml").read_text()
    (micro / "studies/m5.yaml").write_text(text.replace("sft_seed: [1, 2]", "sft_seed: [5]"))
    facts = {"mfu": "0.1230", "device": HOPPER}
    for run in json.loads(invoke("price", "micro", "--json").stdout)["runs"]:
        if run["stage"] == "sft":
            folder = Store(micro).folder("sft", run["key"])
            folder.mkdir(parents=True)
            (folder / "weights").write_bytes(b"mock")
            write_manifest(folder, "sft", run["key"], {}, {})
            record = {"label": "micro/even/sft", "finished": "2026-01-01T00:00:00+00:00", "seconds": 10.0}
            record |= {"process": {"id": run["key"], "start_seconds": 2.0}, "machine": {"gpus": 1}, "facts": facts}
            write_json(micro / "provenance/sft" / run["key"] / "a.json", record)
    config = micro / "config.yaml"
    config.write_text(f"{config.read_text()}  stages: {{sft: {{gpus: 1}}}}\n")
    since = ("--actual", "--since", "2026-01-02", "--json")

    def quote() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        priced = json.loads(invoke("price", "m5", "--json").stdout)
        (line,) = (one for one in priced["lines"] if one["stage"] == "sft")
        (stage,) = (one for one in priced["stages"] if one["stage"] == "sft")
        return line["utilisation"], stage, priced["total"]

    use, stage, total = quote()
    assert use == {"mfu": 0.123, "basis": "measured", "runs": 4, "devices": [HOPPER]}
    # two runs in a process each, of 10 s after 2 s of start
    assert (stage["artifacts"], stage["seconds"], stage["seconds_unknown"]) == (2, 24.0, 0)
    # only those of the priced study are planned, kept and to be made
    assert (stage["planned"], stage["kept"], total["kept"]) == (2, 0, 0)
    (then,) = (one for one in json.loads(invoke("price", "m5", *since).stdout)["stages"] if one["stage"] == "sft")
    assert (then["predicted_artifacts"], then["predicted_jobs"]) == (2, 2)
    edited = json.loads(invoke("price", "m5", "--edit", "seeds.sft_seed=[6]", "--json").stdout)
    assert [edited[name]["seconds"] for name in ("unedited", "edited")] == [total["seconds"]] * 2
    # a study that no longer plans is told, and stops no price
    (micro / "studies/micro.yaml").write_text(text.replace("sft_seed: [1, 2]", "sft_seed: []"))
    assert quote()[0]["basis"] == "assumed"
    assert "nothing is measured on what study 'micro' made: studies/micro.yaml:" in caplog.text


def test_what_failed_runs_alone_in_the_price_as_in_the_run(micro: Path, invoke: Invoke) -> None:
    (micro / "config.yaml").write_text(SHIPPED)
    priced = json.loads(invoke("price", "--json").stdout)
    own = ("sft", "generate", "score", "judge", "scores")
    before = {line["stage"]: line["jobs"] for line in priced["stages"]}
    assert [before[stage] for stage in own] == [2] * 5
    failed = next(run["key"] for run in priced["runs"] if run["stage"] == "sft")
    attempt = {"host": "node", "process": 1, "since": "2026-01-01T00:00:00+00:00", "error": "out of memory"}
    ended = "2026-01-02T00:00:00+00:00"
    write_json(micro / f"work/sft/{failed}.attempt.json", {"stage": "sft", "key": failed, **attempt, "ended": ended})
    after = {line["stage"]: line["jobs"] for line in json.loads(invoke("price", "--json").stdout)["stages"]}
    assert after == {stage: jobs + (stage in own) for stage, jobs in before.items()}
    flow = open_workflow(micro, {}, is_main=True, environment={})
    assert after == Counter(flow.plan.nodes[key].stage for key in flow.list_jobs())
    # a prediction of before it failed knows nothing of it
    stages = json.loads(invoke("price", "--actual", "--since", "2026-01-01", "--json").stdout)["stages"]
    assert {line["stage"]: line["predicted_jobs"] for line in stages} == before
    assert find_failed(Store(micro), parse_moment("2026-01-03")) == {failed}


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
    (line,) = (one for one in said.splitlines() if one.startswith("tiny") and " pretrain " in one)
    assert line.split()[:8] == ["tiny", "pretrain", "0", "1", "?", "?", "?", "?"]
    # a sum of some says so, as the table of stages does
    (total,) = (one for one in said.splitlines() if one.startswith("total") and " all " in one)
    assert len(re.findall(r"\S \+ \?", total)) == 4
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
        (("mirco",), "no such study; did you mean 'micro'?"),
        (("--gpus", "0"), "not in the range x>=1"),
        (("--since", "2026-11-22"), "--since is for --actual"),
        (("--actual", "--since", "yesterday"), "expected a moment like 2026-11-22T03:00:00+00:00, got 'yesterday'"),
        (("--actual", "--edit", "title=x"), "--actual is about what is made"),
        (("micro", "other", "--edit", "title=x"), "--edit is for one study, got micro, other"),
        (
            ("--edit", "variants.evn.instruction=1/2"),
            "--edit: variants.evn.instruction: nothing in 'variants' is named",
        ),
        (("--edit", "variants.evn.instruction=1/2"), "`variants.evn={…}`, with all of it, adds one"),
        (("--edit", "extends=base.yaml"), "--edit: extends: what a file extends is read before edits"),
        (("--edit", "variants.even.instruction=2"), "--edit: variants.even.instruction: "),
        (("--edit", "variants.even.instructoin=1/2"), "--edit: variants.even.instructoin: "),
        (("--edit", "average.last=5"), "--edit: average.last: "),
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


def test_an_edit_is_priced_and_nothing_is_written(micro: Path, invoke: Invoke) -> None:
    study = micro / "studies/micro.yaml"
    before = study.read_text()
    plain = json.loads(invoke("price", "--json").stdout)
    files = sorted(path.relative_to(micro).as_posix() for path in micro.rglob("*"))
    edits = ("--edit", "seeds.sft_seed[2]=3", "--edit", "variants.'math heavy 数学'.instruction=5/8")
    edited = json.loads(invoke("price", *edits, "--json").stdout)
    assert study.read_text() == before
    assert sorted(path.relative_to(micro).as_posix() for path in micro.rglob("*")) == files
    study.write_text(before.replace("sft_seed: [1, 2]", "sft_seed: [1, 2, 3]"))
    text = study.read_text()
    at = text.index("instruction: 1/2", text.index("math heavy"))
    study.write_text(text[:at] + "instruction: 5/8" + text[at + len("instruction: 1/2") :])
    really = json.loads(invoke("price", "--json").stdout)
    assert {name: edited[name] for name in really} == really
    assert edited["unedited"]["artifacts"] == plain["total"]["artifacts"]
    assert edited["edited"]["artifacts"] == really["total"]["artifacts"]
    difference = really["total"]["jobs"] - plain["total"]["jobs"]
    assert edited["difference"]["jobs"] == difference > 0
    assert len(edited["added"]) - len(edited["gone"]) == sum(line["planned"] for line in really["stages"]) - sum(
        line["planned"] for line in plain["stages"]
    )


def test_the_price_of_an_edit_says_what_begins_it_and_what_it_changes(micro: Path, invoke: Invoke) -> None:
    said = invoke("price", "--edit", "average.last=3").stdout
    assert said.startswith("average.last=3: nothing is written\n")
    assert "average 'even/mixture_seed 1/ipt_seed 1': last 4 -> 3" in said
    assert re.search(r"^jobs +73 +73 +0$", said, re.M)
    # nothing was ever made, so that nothing is known of these
    for name in ("time", "wall time"):
        assert re.search(rf"^{name} +\? +\? +\?$", said, re.M)
    assert re.search(r"^disk +1\.3 MiB \+ \? +1\.3 MiB \+ \? +0 B \+ \?$", said, re.M)
    told = json.loads(invoke("price", "--edit", "average.last=3", "--json").stdout)
    assert [told[name]["seconds"] for name in ("unedited", "edited", "difference")] == [None] * 3
    assert told["edited"]["unknown"]["seconds"] == 73
    # a comment is no edit
    same = invoke("price", "--edit", "variants.even.instruction=50 %").stdout
    assert "85 artifacts: 0 new, 85 kept, 0 gone" in same


def test_a_model_judge_costs_what_judge_cost_says(micro: Path, invoke: Invoke) -> None:
    study, config = micro / "studies/micro.yaml", micro / "config.yaml"
    config.write_text(f"{config.read_text()}  endpoints: {{local: {{url: 'http://127.0.0.1:9'}}}}\n")
    judge = "judge: {engine: openai, model: gpt-4o-2024-08-06, endpoint: local}\n"
    study.write_text(study.read_text().replace("\nbenchmarks:\n", f"\n{judge}\nbenchmarks:\n"))
    priced = json.loads(invoke("price", "--json").stdout)
    assert priced["judging"] == json.loads(invoke("judge", "cost", "--json").stdout)
    (line,) = priced["judging"]
    assert (line["verdicts"], line["to_ask"], line["unknown"]) == (96, 96, 0)
    assert priced["verdicts"] == {"judge": 96}
    said = invoke("price").stdout
    assert "judge: 96 verdicts, of which up to 96 ask a model" in said
    assert "gpt-4o-2024-08-06: 2.5 and 10 USD a million tokens" in said


def test_wall_time_is_told_for_the_gpus_that_are_asked_for(micro: Path, invoke: Invoke) -> None:
    one, two = (json.loads(invoke("price", "--gpus", number, "--json").stdout) for number in ("1", "2"))
    trained = [line["to_do"]["gpu_hours"] * 3600 for line in one["totals"] if line["stage"] == "all"]
    assert one["wall"]["seconds"] == pytest.approx(trained[0])
    assert one["wall"]["chain_seconds"] == two["wall"]["chain_seconds"] < two["wall"]["seconds"] + 1e-12
    assert two["wall"]["seconds"] < one["wall"]["seconds"]
    # this machine has no GPU in its settings, and nobody measured a run on it
    plain = json.loads(invoke("price", "--json").stdout)
    assert (plain["wall"]["seconds"], plain["wall"]["jobs_unknown"]) == (None, 73)
    said = invoke("price", "--cores", "2").stdout
    assert "wall time with 2 cores: ? (73 of 73 jobs nobody measured yet); longest chain of jobs: ?" in said
    assert "wall time with 1 GPU and 2 cores: at least " in invoke("price", "--cores", "2", "--gpus", "1").stdout
    assert "time of training: by formula with --gpus N" in invoke("price").stdout


def test_the_formula_is_shown_with_its_numbers(micro: Path, invoke: Invoke) -> None:
    said = invoke("price", "--arithmetic").stdout
    run = next(one for one in json.loads(invoke("price", "--json").stdout)["runs"] if one["stage"] == "ipt")
    assert "tiny: W = 1 layers x (32x32 + 32x32 + 32x32 + 32x32 + 32x64 + 32x64 + 64x32) = 10,240" in said
    terms = "6 x 10,240 x 16,000 + 6 x 400 x 32 x 16,000 + 6 x 1 x 2 x 16 x 1,024,000"
    assert f"{terms} = {run['flops']:.4g} FLOPs a run" in said
    assert run["flops"] == 6 * 10_240 * 16_000 + 6 * 400 * 32 * 16_000 + 6 * 2 * 16 * 1_024_000


def test_before_anything_is_made_there_is_nothing_to_compare(micro: Path, invoke: Invoke) -> None:
    assert invoke("price", "--actual").stdout == "nothing of it was made here; 85 artifacts are to be made\n"


def test_what_is_tracked_would_be_fetched_and_its_size_is_known(micro: Path, invoke: Invoke) -> None:
    plan = json.loads(invoke("plan", "--json").stdout)
    (key,) = (one["key"] for one in plan["run"] if one["labels"] == ["micro/source/test_math_en"])
    pointer = Store(micro).pointer("source", key)
    pointer.parent.mkdir(parents=True)
    pointer.write_text(f"outs:\n- md5: {'0' * 32}.dir\n  size: 4096\n  nfiles: 2\n  hash: md5\n  path: {key}\n")
    priced = json.loads(invoke("price", "--json").stdout)
    (line,) = (one for one in priced["stages"] if one["stage"] == "source")
    assert (line["kept"], line["fetched"], line["artifacts"], line["fetched_bytes"]) == (0, 1, 5, 4096)
    assert priced["generation"][-1]["items"] == 72
    assert "to fetch from cache or remote: 1 artifact, 4.0 KiB" in invoke("price").stdout


def test_hours_of_generation_on_gpus_are_not_guessed(micro: Path, invoke: Invoke) -> None:
    config = micro / "config.yaml"
    config.write_text(f"{config.read_text()}  stages: {{generate: {{gpus: 1}}, ipt: {{gpus: 2}}}}\n")
    priced = json.loads(invoke("price", "--json").stdout)
    lines = {line["stage"]: line for line in priced["stages"]}
    assert (lines["generate"]["gpu_hours"], lines["generate"]["gpu_hours_unknown"]) == (0, 6)
    assert lines["ipt"]["gpu_hours_unknown"] == 0 < lines["ipt"]["gpu_hours"]
    # the settings give ipt GPUs, so that its time is known by formula: half as long on two
    assert lines["ipt"]["seconds"] == pytest.approx(lines["ipt"]["gpu_hours"] * 3600 / 2)
    assert (lines["sft"]["seconds"], lines["sft"]["seconds_unknown"]) == (0, 4)
    assert "GPU-hours of generation: as measured, and nothing alike was made here yet" in invoke("price").stdout


def test_items_that_cannot_be_asked_are_told_and_in_no_sum(micro: Path, invoke: Invoke) -> None:
    study = micro / "studies/micro.yaml"
    study.write_text(study.read_text().replace("demo_math_en: {", "gsm8k: {max_new_tokens: 16, "))
    priced = json.loads(invoke("price", "--json").stdout)
    lines = {line["benchmark"]: line for line in priced["generation"]}
    assert (lines["gsm8k"]["unknown"], lines["gsm8k"]["items"], lines["total"]["items"]) == (6, 0, 24)
    assert list(priced["items_unusable"]) == ["micro/source/test_math_en"]
    assert "items of 'micro/source/test_math_en' cannot be asked, and are in no sum: " in invoke("price").stdout


def test_jobs_ask_for_what_the_table_of_sizes_gives_their_model(micro: Path, invoke: Invoke) -> None:
    """The model has some 24,000 parameters: the second row."""
    config = micro / "config.yaml"
    rows = "[{up_to_parameters: 1e4, stages: {ipt: {gpus: 1}}}, {up_to_parameters: 1e6, stages: {ipt: {gpus: 4}}}]"
    before = config.read_text()
    config.write_text(f"{before}  sizes: {rows}\n")
    lines = {line["stage"]: line for line in json.loads(invoke("price", "--json").stdout)["stages"]}
    assert lines["ipt"]["seconds"] == pytest.approx(lines["ipt"]["gpu_hours"] * 3600 / 4)
    assert lines["ipt"]["seconds"] > 0 == lines["sft"]["seconds"]
    assert "2 jobs would take more GPUs or cores than there are" in invoke("price", "--gpus", "2").stdout
    config.write_text(f"{before}  sizes: {rows[: rows.index(', {up_to_parameters: 1e6')]}]\n")
    result = invoke("price")
    assert result.exit_code == 2
    assert "but the last row is up to 10000; add one" in result.stderr
