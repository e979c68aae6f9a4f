"""`mixlab surface` and `mixlab propose` on CSV files: what they print, draw and refuse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result

Invoke = Callable[..., Result]


def write_table(path: Path, count: int = 24, components: tuple[str, ...] = ("raw", "en/math", "ja/reasoning")) -> Path:
    """A loss that falls with the second component, and a score that peaks in the middle; both with little noise."""
    rng = np.random.default_rng(4)
    ratios = rng.dirichlet(np.ones(len(components)), count)
    loss = 2 + np.exp(-2 * ratios[:, 1]) + 0.02 * rng.standard_normal(count)
    score = 1 - ((ratios - 1 / len(components)) ** 2).sum(axis=1) + 0.02 * rng.standard_normal(count)
    lines = [",".join([*(f"ratio:{name}" for name in components), "loss:wiki", "score:gsm8k"])]
    lines += [",".join(f"{one:.6f}" for one in row) for row in np.column_stack([ratios, loss, score])]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of mixtures in the current folder, which has nothing else."""
    monkeypatch.chdir(tmp_path)
    return write_table(tmp_path / "losses 損失.csv")


def test_a_surface_is_told_in_text_in_json_and_as_a_figure(table: Path, invoke: Invoke) -> None:
    done = invoke("surface", "--csv", table.name, "--target", "wiki", "--figure", "surface.svg")
    assert done.exit_code == 0, done.output
    assert "24 distinct mixtures of 3 components" in done.stdout
    assert "wiki: lowest 2.1" in done.stdout
    drawn = Path("surface.svg").read_bytes()
    texts = {element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}
    assert {"wiki", "raw", "en/math", "ja/reasoning"} <= texts
    said = json.loads(invoke("surface", "--csv", table.name, "--json", "--bound", "en/math=0..0.5").stdout)
    wiki, gsm8k = said["targets"]
    assert wiki["optimum"]["ratios"]["en/math"]["ratio"] == pytest.approx(0.5, abs=0.03)
    assert wiki["spearman"] > 0.9
    assert 0.8 <= wiki["coverage"] <= 1
    assert gsm8k["optimum"]["ratios"]["raw"]["low"] <= 0.36
    assert gsm8k["optimum"]["ratios"]["raw"]["high"] >= 0.30
    assert wiki["abstention"] is gsm8k["abstention"] is None


def test_slices_are_drawn_where_the_components_are_no_triangle(tmp_path: Path, invoke: Invoke) -> None:
    path = write_table(tmp_path / "four.csv", components=("a", "b", "c", "$d"))
    done = invoke("surface", "--csv", str(path), "--target", "wiki", "--figure", str(tmp_path / "four.svg"))
    assert done.exit_code == 0, done.output
    texts = [one.text for one in ElementTree.parse(tmp_path / "four.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert {"a", "b", "c", "$d"} <= set(texts)
    # b moves the loss, so its slice comes first
    assert min(("a", "b", "c", "$d"), key=texts.index) == "b"


def test_few_mixtures_get_no_optimum_and_no_figure(tmp_path: Path, invoke: Invoke) -> None:
    path = write_table(tmp_path / "few.csv", count=5)
    done = invoke("surface", "--csv", str(path))
    assert done.exit_code == 0
    assert "wiki: no optimum: 5 distinct mixtures that differ in 2 directions" in done.stdout
    assert "about 5 more" in done.stdout
    figure = tmp_path / "none.svg"
    refused = invoke("surface", "--csv", str(path), "--figure", str(figure))
    assert refused.exit_code == 2
    assert "too few mixtures" in refused.stderr
    assert not figure.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bound", "en/maths=0..1"), "did you mean 'en/math'?"),
        (("--bound", "en/math=0.5"), "expected NAME=LOW..HIGH"),
        (("--bound", "en/math=0.5..0.2"), "expected NAME=LOW..HIGH"),
        (("--bound", "raw=0..1", "--bound", "raw=0..1"), "'raw' has two bounds"),
        (("--bound", "raw=0.9..1", "--bound", "en/math=0.9..1"), "no mixture lies within the bounds"),
        (("--target", "wikki"), "no target is named like 'wikki'; did you mean 'wiki'?"),
        (("demo",), "name one of them"),
    ],
)
def test_mistakes_are_told_and_nothing_is_computed(
    table: Path, invoke: Invoke, arguments: tuple[str, ...], said: str
) -> None:
    done = invoke("surface", "--csv", table.name, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not done.stdout


def test_mistakes_of_a_file_are_all_told(table: Path, invoke: Invoke) -> None:
    table.write_text(table.read_text() + "0.5,0.6,0,3,1\n0.5,x,0,3,1\n")
    done = invoke("surface", "--csv", table.name)
    assert done.exit_code == 2
    assert f"{table.name}:26: ratios sum to 1.1" in done.stderr
    assert f"{table.name}:27: ratio:en/math: expected a number, got 'x'" in done.stderr


def test_proposals_for_a_study_may_rest_on_a_file(micro: Path, invoke: Invoke) -> None:
    write_table(micro / "losses.csv", count=12)
    arguments = (
        "propose",
        "micro",
        "--csv",
        "losses.csv",
        "--target",
        "wiki",
        "--gpu-hours",
        "1",
        "--at-most",
        "2",
        "--json",
    )
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["file"] == "studies/micro_round1.yaml"
    assert [one["variant"] for one in said["proposals"]] == ["round 1 no. 1", "round 1 no. 2"]
    planned = json.loads(invoke("plan", "micro_round1", "--json").stdout)
    before = json.loads(invoke("plan", "micro", "--json").stdout)
    # two variants, each with a mixture, a run of IPT and two of SFT
    counts = [{line["stage"]: line["planned"] for line in one["stages"]} for one in (before, planned)]
    grown = {stage: counts[1][stage] - counts[0][stage] for stage in ("mixture", "ipt", "sft")}
    assert grown == {"mixture": 2, "ipt": 2, "sft": 4}
    again = invoke(*arguments)
    assert again.exit_code == 2
    assert "studies/micro_round1.yaml: is there already" in again.stderr


def test_what_is_to_be_gained_is_what_the_surface_says_and_repeats_are_the_studys(micro: Path, invoke: Invoke) -> None:
    path = write_table(micro / "losses.csv")
    rows = path.read_text(encoding="utf-8").splitlines()
    again = ",".join([*rows[1].split(",")[:3], "2.5", "0.9"])
    path.write_text("\n".join([*rows, again]) + "\n", encoding="utf-8")
    arguments = ("--csv", "losses.csv", "--target", "gsm8k", "--json")
    (said,) = json.loads(invoke("surface", *arguments).stdout)["targets"]
    done = invoke("propose", "micro", *arguments, "--gpu-hours", "1", "--at-most", "1")
    (told,) = json.loads(done.stdout)["targets"]
    assert told["expected_gain"] == said["optimum"]["gain"]
    assert told["family"] == said["family"]
    # two seeds of SFT: most mixtures of the file have one run
    assert told["runs"] == 2
    assert told["detectable_effect"] > told["noise"] > 0


def test_targets_whose_surface_says_nothing_are_told_as_such_and_never_settle(micro: Path, invoke: Invoke) -> None:
    rng = np.random.default_rng(0)
    path = write_table(micro / "losses.csv")
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    noisy = [f"{row.rpartition(',')[0]},{rng.standard_normal():.6f}" for row in rows for _ in range(2)]
    path.write_text("\n".join([head, *noisy]) + "\n", encoding="utf-8")
    arguments = ("--csv", "losses.csv", "--target", "gsm8k")
    (surface,) = json.loads(invoke("surface", *arguments, "--json").stdout)["targets"]
    done = invoke("propose", "micro", *arguments, "--gpu-hours", "1", "--at-most", "1")
    assert done.exit_code == 0, done.output
    assert surface["abstention"] is not None
    assert f"! gsm8k: no optimum: {surface['abstention']['reason']}" in done.stdout
    assert "not met" in done.stdout


def test_rows_that_are_there_twice_are_no_repeats(micro: Path, invoke: Invoke) -> None:
    path = write_table(micro / "losses.csv", count=9)
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([head, *rows, *rows]) + "\n", encoding="utf-8")
    arguments = ("--csv", "losses.csv", "--target", "wiki")
    note = "! wiki: repeats of a mixture do not differ, so that noise is not known; are rows there twice?"
    assert note in invoke("surface", *arguments).stdout
    done = invoke("propose", "micro", *arguments, "--gpu-hours", "1", "--at-most", "1")
    assert done.exit_code == 0, done.output
    assert note in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("wiki"))
    assert line.split()[2:] == ["2", "not", "known", "not", "known", "not", "known", "-"]


def test_the_stop_rule_is_met_where_repeats_find_more_than_is_to_be_gained(micro: Path, invoke: Invoke) -> None:
    path = write_table(micro / "losses.csv", count=40)
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    fields = [row.split(",") for row in rows]
    pairs = [",".join([*row[:3], f"{float(row[3]) + off:.6f}", row[4]]) for row in fields for off in (-0.1, 0.1)]
    path.write_text("\n".join([head, *pairs]) + "\n", encoding="utf-8")
    done = invoke("propose", "micro", "--csv", "losses.csv", "--target", "wiki", "--gpu-hours", "1", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["stop"], said["file"], said["proposals"]) == (True, None, [])
    assert said["targets"][0]["expected_gain"] < said["targets"][0]["detectable_effect"]


def test_a_study_in_a_folder_is_continued_beside_it_round_after_round(micro: Path, invoke: Invoke) -> None:
    write_table(micro / "losses.csv", count=12)
    (micro / "studies/sub").mkdir()
    (micro / "studies/micro.yaml").rename(micro / "studies/sub/x.yaml")
    proposed = []
    for name, written in (("sub/x", "studies/sub/x_round1.yaml"), ("sub/x_round1", "studies/sub/x_round2.yaml")):
        done = invoke("propose", name, "--csv", "losses.csv", "--target", "wiki", "--gpu-hours", "1", "--json")
        assert done.exit_code == 0, done.output
        said = json.loads(done.stdout)
        assert said["file"] == written
        proposed += [tuple(one["ratios"].values()) for one in said["proposals"]]
    assert len(set(proposed)) == len(proposed) == 16
    variants = [line["planned"] for line in _count(invoke, "sub/x_round2") if line["stage"] == "ipt"]
    assert variants == [line["planned"] + 16 for line in _count(invoke, "sub/x") if line["stage"] == "ipt"]


def _count(invoke: Invoke, study: str) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = json.loads(invoke("plan", study, "--json").stdout)["stages"]
    return stages


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_fitted(
    micro: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(micro / "losses.csv")
    monkeypatch.setattr("mixlab.cli._proposing.os.access", lambda path, mode: Path(path).name != "studies")
    done = invoke("propose", "micro", "--csv", "losses.csv", "--gpu-hours", "1")
    assert done.exit_code == 2
    assert "studies/micro_round1.yaml: cannot be written" in done.stderr


def test_hours_that_are_too_few_write_nothing(micro: Path, invoke: Invoke) -> None:
    write_table(micro / "losses.csv")
    done = invoke("propose", "micro", "--csv", "losses.csv", "--target", "wiki", "--gpu-hours", "1e-12")
    assert done.exit_code == 2
    assert "one more mixture takes" in done.stderr
    assert [path.name for path in (micro / "studies").iterdir()] == ["micro.yaml"]


def test_components_that_the_study_cannot_mix_are_named(micro: Path, invoke: Invoke) -> None:
    write_table(micro / "losses.csv", components=("raw", "en/maths", "books"))
    done = invoke("propose", "micro", "--csv", "losses.csv", "--gpu-hours", "1")
    assert done.exit_code == 2
    assert "study 'micro' has no component 'en/maths'; did you mean 'en/math'?" in done.stderr
    assert "study 'micro' has no component 'books'" in done.stderr


def test_a_study_without_scores_is_told_so(micro: Path, invoke: Invoke) -> None:
    for command in (("surface", "micro"), ("propose", "micro", "--gpu-hours", "1")):
        done = invoke(*command)
        assert done.exit_code == 2
        assert "study 'micro': no finished scores of models trained on mixtures are here" in done.stderr
