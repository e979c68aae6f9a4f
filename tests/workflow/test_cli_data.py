"""`mixlab certificate` and `mixlab counts`: from the artifacts that are here, without a report."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mixlab.artifacts.store import Store
from mixlab.cli._data import read_shown
from mixlab.config.report_data import DataShown, ShownMixture
from mixlab.plan.build import build_plan
from mixlab.plan.expand_report import NO_POLICY
from mixlab.report.counts import write_counts

Invoke = Callable[..., Result]
EVEN, SFT = "even, mixture_seed 1", "sft"


def read_micro(root: Path) -> DataShown:
    return read_shown(build_plan(root, check_files=False).plan)["micro"]


def find(shown: DataShown, label: str) -> ShownMixture:
    return next(one for one in shown.mixtures if one.label == label)


def publish(root: Path, stage: str, key: str, files: dict[str, object]) -> None:
    with Store(root).writing(stage, key) as draft:
        assert draft is not None
        for name, content in files.items():
            (draft.out / name).write_text(json.dumps(content))
        draft.publish({}, {})


def certify(root: Path, mixture: ShownMixture, epochs: float) -> dict[str, object]:
    """Publish a mixture that took 100 tokens of each source, the first of them `epochs` times over."""
    many = len(mixture.sources)
    names = ("requested", "population_tokens", "allocated_tokens", "target_tokens", "response_tokens", "windows")
    columns: dict[str, list[object]] = {name: [100] * many for name in (*names, "padding_tokens", "cut_tokens")}
    columns |= {"label": ["en/math"] * many, "requested_ratio": [f"1/{many}"] * many}
    columns |= {"epochs": [epochs] + [1.0] * (many - 1), "first_document": [0] * many, "last_document": [9] * many}
    certificate = {
        "seed": 1,
        "unit": "tokens",
        "budget": 100 * many,
        "max_epochs": "8",
        "on_empty_cell": "error",
        "sequence_tokens": 64,
        "windows": 100 * many,
        "sources": columns,
        "repeated": [],
        "axes": {},
        "deviation": {"windows": 0.5, "source": 0},
    }
    publish(root, "mixture", mixture.key, {"certificate.json": certificate})
    return certificate


def test_without_a_mixture_those_of_the_study_are_listed_built_or_not(micro: Path, invoke: Invoke) -> None:
    shown = read_micro(micro)
    certify(micro, find(shown, SFT), 1.0)
    listed = json.loads(invoke("certificate", "--json").output)
    assert {one["mixture"]: one["state"] for one in listed} == {
        one.label: "complete" if one.label == SFT else "absent" for one in shown.mixtures
    }
    text = invoke("certificate", "micro").output
    assert all(one.key in text and one.label in text for one in shown.mixtures)


def test_a_certificate_is_found_by_label_by_part_of_it_and_by_key(micro: Path, invoke: Invoke) -> None:
    mixture = find(read_micro(micro), EVEN)
    certificate = certify(micro, mixture, 5.5)
    for what in (EVEN, "even", mixture.key[:6]):
        joined = json.loads(invoke("certificate", what, "--json").output)
        assert joined["mixture"]["key"] == mixture.key
        assert joined["budget"] == certificate["budget"]
    assert invoke("certificate", "micro", "even", "--json").output == invoke("certificate", "even", "--json").output


def test_the_text_names_sources_marks_epochs_and_says_what_is_not_here(micro: Path, invoke: Invoke) -> None:
    mixture = find(read_micro(micro), EVEN)
    certify(micro, mixture, 5.5)
    text = invoke("certificate", "even").output
    assert f"! Source {mixture.sources[0]} is repeated 5.50 times: more than 4 epochs." in text
    assert "5.50 (more than 4)" in text
    assert all(name in text for name in mixture.sources)
    assert "not here" in text
    roots = {name.partition("/")[0] for name in mixture.sources}
    assert f"0 of 0 checked sources hold benchmark items; {len(roots)} not checked" in text


def test_the_page_is_written_where_it_is_asked_for(micro: Path, invoke: Invoke, tmp_path: Path) -> None:
    certify(micro, find(read_micro(micro), SFT), 1.0)
    result = invoke("certificate", SFT, "--html", str(tmp_path / "sft.html"))
    assert result.exit_code == 0
    assert (tmp_path / "sft.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    result = invoke("certificate", SFT, "--html", str(tmp_path / "nowhere/sft.html"))
    assert result.exit_code == 2
    assert f"{tmp_path}/nowhere/sft.html: cannot be written: No such file or directory" in result.output


def test_an_export_says_why_it_cannot_be_and_removes_nothing_that_it_did_not_make(micro: Path, invoke: Invoke) -> None:
    asked = ("export", "even/mixture_seed 1/mixture", "--study", "micro", "--format")
    result = invoke(*asked, "megatron", "--to", "/proc/x")
    assert result.exit_code == 2 and "/proc/x: cannot be exported: " in result.output
    result = invoke(*asked, "windows", "--to", "x", "--link")
    assert result.exit_code == 2 and "--link belongs to --format megatron" in result.output
    (micro / ".x.part").mkdir()
    result = invoke(*asked, "windows", "--to", str(micro / "x"))
    assert result.exit_code == 2 and "not here" in result.output
    assert [path.name for path in micro.glob("*x*") if path.name.endswith(("x", ".part"))] == [".x.part"]


def test_a_mixture_that_is_not_built_is_an_error_with_the_cure(micro: Path, invoke: Invoke) -> None:
    result = invoke("certificate", "micro", SFT)
    assert result.exit_code == 2
    assert "of study 'micro' is not built here; run `snakemake --profile local stage_mixture" in result.output
    key = find(read_micro(micro), SFT).key
    (micro / "tracked/mixture").mkdir(parents=True)
    (micro / f"tracked/mixture/{key}.dvc").write_text("")
    assert f"run `mixlab restore {key}`" in invoke("certificate", "micro", SFT).output


@pytest.mark.parametrize(
    ("what", "said"),
    [("evem, mixture_seed 1", "did you mean 'even, mixture_seed 1'"), ("mixture_seed", "2 mixtures are meant by")],
)
def test_a_name_that_means_none_or_several_is_told(micro: Path, invoke: Invoke, what: str, said: str) -> None:
    result = invoke("certificate", what)
    assert result.exit_code == 2
    assert said in result.output


def test_counts_are_printed_as_they_were_counted(micro: Path, invoke: Invoke) -> None:
    assert "study 'micro' has no counts yet; run `snakemake --profile local stage_counts" in invoke("counts").output
    plan = build_plan(micro, check_files=False).plan
    (node,) = plan.by_stage("counts")
    settings = node.spec.counts
    with Store(micro).writing(*node.name) as draft:
        assert draft is not None
        stores = []
        for at, _ in enumerate(settings.stores):
            stores.append(draft.resume / str(at))
            stores[-1].mkdir(parents=True)
            index = {"documents": 10 + at, "tokens": 4000 + at, "response_tokens": 300 + at, "excluded": at}
            (stores[-1] / "index.json").write_text(json.dumps(index))
        write_counts(settings, stores, draft.out)
        draft.publish({}, {})
    rows = json.loads(invoke("counts", "--json").output)["micro"]
    found = {row["source"]: (row["samples"], row["tokens"], row["response_tokens"], row["excluded"]) for row in rows}
    assert found == {
        store.source: (str(10 + at), str(4000 + at), str(300 + at), str(at)) for at, store in enumerate(settings.stores)
    }
    text = invoke("counts", "micro").output
    assert all(store.source in text for store in settings.stores)
    assert "Instruction data of IPT: samples and tokens" in text


def test_the_order_of_a_study_s_variants_changes_nothing_that_is_shown(micro: Path) -> None:
    before = read_micro(micro)
    path = micro / "studies/micro.yaml"
    lines = path.read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line == "variants:") + 1
    end = next(at for at in range(start, len(lines)) if not lines[at].startswith(" "))
    entries: list[list[str]] = []
    for line in lines[start:end]:
        entries += [[line]] if len(line) - len(line.lstrip()) == 2 else []
        entries[-1] += [line] if line != entries[-1][0] else []
    assert len(entries) > 1
    lines[start:end] = [line for entry in reversed(entries) for line in entry]
    path.write_text("\n".join(lines) + "\n")
    assert read_micro(micro) == before


def test_what_the_study_says_of_licences_and_benchmarks_is_shown_by_name(micro: Path) -> None:
    shown = read_micro(micro)
    study = build_plan(micro, check_files=False).studies["micro"]
    said = "allowed" if study.licences is not None else NO_POLICY
    assert {source.permission for source in shown.sources} == {said}
    assert sorted(name for names in shown.benchmarks for name in names.split(", ")) == sorted(study.benchmarks)
    assert all(source.contamination for source in shown.sources)


def list_pools(root: Path) -> dict[str, tuple[str, ...]]:
    (node,) = build_plan(root, check_files=False).plan.by_stage("counts")
    return {store.source: store.pools for store in node.spec.counts.stores}


def test_pools_are_what_mixtures_draw_from_unless_the_study_says_what_they_are(micro: Path) -> None:
    assert list_pools(micro)["math_file"] == ("ipt", "sft")
    assert list_pools(micro)["raw_ja"] == ("ipt", "pretrain")
    path = micro / "studies/micro.yaml"
    pools = "pools:\n  sft: {sources: [reasoning_ja]}\n  balanced: {sources: [math_file]}\n\ntokenizers:"
    text = path.read_text().replace("\ntokenizers:", f"\n{pools}", 1)
    path.write_text(text.replace("mixture: {sources: [math_file],", "mixture: {sources: [balanced],", 1))
    found = list_pools(micro)
    assert found["math_file"] == ("balanced", "ipt")
    assert found["reasoning_ja/reasoning"] == ("ipt", "sft")
    (node,) = build_plan(micro, check_files=False).plan.by_stage("counts")
    assert node.spec.counts.balanced is not None
    assert node.spec.counts.balanced.pool == "balanced"


def test_an_assumed_value_changes_no_key_but_the_report_s(micro: Path) -> None:
    before = set(build_plan(micro, check_files=False).plan.nodes)
    path = micro / "studies/micro.yaml"
    path.write_text(path.read_text().replace("max_epochs: 8", 'max_epochs: {value: 8, assumed: "<a guess>"}', 1))
    plan = build_plan(micro, check_files=False).plan
    assert {plan.nodes[key].stage for key in set(plan.nodes) - before} == {"report"}
    (assumption,) = read_micro(micro).assumptions
    assert (assumption.value, assumption.reason) == ("8", "<a guess>")


def test_show_tells_of_repetition_and_contamination(micro: Path, invoke: Invoke) -> None:
    plan = build_plan(micro, check_files=False).plan
    (node,) = plan.by_stage("report")
    checks = (
        "source,benchmark,state,items,items_compared,items_short,items_hit\n"
        "web,gsm8k,checked,10,9,1,2\nwiki,gsm8k,not checked,,,,\n"
    )
    with Store(micro).writing(*node.name) as draft:
        assert draft is not None
        (draft.out / "tables").mkdir()
        (draft.out / "tables/main.csv").write_text("variant,stage,group,judge\n")
        (draft.out / "tables/repeated.csv").write_text("mixture,mixture_key,source,epochs\nsft,key,web,5.5\n")
        (draft.out / "tables/contamination.csv").write_text(checks)
        (draft.out / "report.html").write_text("")
        draft.publish({}, {})
    text = invoke("show").output
    assert "! mixture sft: source web is repeated 5.50 times" in text
    summary = "contamination: 1 of 1 checked sources hold benchmark items (web); 1 not checked; "
    assert f"{summary}1 items cannot be looked for: 1 too short" in text
    shown = json.loads(invoke("show", "--json").output)
    assert [row["source"] for row in shown["repeated"]["micro"]] == ["web"]
    assert [row["state"] for row in shown["contamination"]["micro"]] == ["checked", "not checked"]
