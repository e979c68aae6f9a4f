"""What DVC shows of a study's tables: metrics by name, parameters, and plots that its templates can draw."""

import json
from pathlib import Path

import yaml
from checkouts import REPOSITORY
from dvc_checkouts import commit, make_repository, plan_micro, run

from mixlab.artifacts.store import Store
from mixlab.cli._named import render_metrics, write_results

MEANS = "results/micro/means.csv"
METRICS = "results/micro/metrics.json"
HEADER = "variant,stage,benchmark,measure,judge,mean,se_seeds,seed_level,n_seeds,se_items,n_items\n"


def test_metrics_have_one_number_a_cell_under_names_that_an_edit_keeps() -> None:
    cell = {"mean": 0.5, "se_items": 0.1, "n_seeds": 2, "unparsed": 0}
    report = {
        "scores": {"even": {"after_sft": {"gsm8k": {"accuracy": cell}, "humaneval": {"pass_at_2": {"n_seeds": 1}}}}},
        "effects": {"more helps": {"difference": 0.25, "met": 1}, "not measured": {"met": 0}},
    }
    assert json.loads(render_metrics(report)) == {
        "scores": {"even": {"after_sft": {"gsm8k": {"accuracy": 0.5}, "humaneval": {}}}},
        "effects": {"more helps": 0.25},
    }


def test_win_rates_on_whole_benchmarks_are_metrics_where_models_were_compared(micro: Path) -> None:
    store, plan = Store(micro), plan_micro(micro)
    (report,) = plan.by_stage("report")
    folder = store.folder(*report.name)
    (folder / "tables").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "metrics.json").write_text(json.dumps({"scores": {}, "effects": {}}))
    write_results(store, plan)
    assert json.loads((micro / METRICS).read_text()) == {"scores": {}, "effects": {}}

    rows = ["Big,even,after_sft,talk,,0.65", "Big,even,after_sft,talk,math,0.9", "small,even,after_sft,talk,,"]
    table = "\n".join(["variant,against,stage,benchmark,category,win_rate", *rows])
    (folder / "tables/pairwise.csv").write_text(f"{table}\n")
    assert write_results(store, plan) == [micro / METRICS]
    rates = {"Big": {"even": {"after_sft": {"talk": 0.65}}}}
    assert json.loads((micro / METRICS).read_text()) == {"scores": {}, "effects": {}, "win_rates": rates}


def test_a_ratio_that_changes_a_mean_is_told_by_name_and_drawn_with_its_error(tmp_path: Path) -> None:
    root = make_repository(tmp_path)
    (root / "results/micro").mkdir(parents=True)
    metrics = {"scores": {"even": {"after_sft": {"demo": {"accuracy": 0.5}}}}, "effects": {}}
    (root / METRICS).write_text(json.dumps(metrics))
    rows = [f"even,after_sft,gsm8k,accuracy,,{mean},0.05,sft_seed,3,0.1,80\n" for mean in (0.5, 0.75)]
    (root / MEANS).write_text(HEADER + rows[0])
    commit(root, "before")
    (root / MEANS).write_text(HEADER + rows[1])
    (root / METRICS).write_text(json.dumps(metrics).replace("0.5", "0.75"))
    study = root / "studies/micro.yaml"
    study.write_text(study.read_text().replace("{math: 1, reasoning: 1}", "{math: 2, reasoning: 1}"))

    told = json.loads(run(root, "dvc", "metrics", "diff", "--json"))
    assert told == {METRICS: {"scores.even.after_sft.demo.accuracy": {"old": 0.5, "new": 0.75, "diff": 0.25}}}
    told = json.loads(run(root, "dvc", "params", "diff", "--json"))
    assert told == {"studies/micro.yaml": {"variants.even.category.weights.math": {"old": 1, "new": 2, "diff": 1}}}

    plots = json.loads(run(root, "dvc", "plots", "diff", "--json", "--targets", MEANS))
    ((_, (drawn,)),) = plots["data"].items() if "data" in plots else plots.items()
    content = drawn["content"] if isinstance(drawn["content"], dict) else json.loads(drawn["content"])
    points = content["data"]["values"]
    assert {(point["rev"], point["mean"], point["se_seeds"]) for point in points} == {
        ("HEAD", "0.5", "0.05"),
        ("workspace", "0.75", "0.05"),
    }
    assert "<DVC_METRIC" not in json.dumps(content)


def test_the_templates_draw_the_columns_that_the_tables_have() -> None:
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    declared = [*stages["aggregate"]["plots"], *stages["report"]["plots"]]
    templates = {about["template"]: (path, about) for one in declared for path, about in one.items()}
    assert {name: about["y"] for name, (_, about) in templates.items()} == {"scores": "benchmark", "means": "variant"}
    for name in templates:
        text = (REPOSITORY / f".dvc/plots/{name}.json").read_text()
        anchors = ("DATA", "X", "Y", "COLOR", "TITLE")
        assert [anchor for anchor in anchors if f"<DVC_METRIC_{anchor}>" not in text] == []
