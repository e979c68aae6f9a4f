"""The studies of Kodama & Oda: shared points are shared artifacts, look-alikes are not, and the tiny ones are alike."""

import csv
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from made_up_lock import REPOSITORY, copy_studies

from mixlab.artifacts.keys import split_reference
from mixlab.config.targets import ScoreTarget
from mixlab.plan.build import Planned, build_plan, list_startable
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import MixtureSpec, ReportSpec

STUDIES = ("raw_ratio", "language_ratio", "category_ratio", "extreme_imbalance", "sft_ablation", "scaling")
MODELS = ("llmjp3", "qwen2.5", "llama-inhouse", "llama3.2")
PAPER = [f"kodama_oda/{name}" for name in STUDIES]
TINY = [f"kodama_oda/tiny/{name}" for name in STUDIES]
BASES = {"base_model": "base model", "pretrain": "base model"}

Find = Callable[[str], Node]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_studies(tmp_path_factory.mktemp("kodama"), [*PAPER, *TINY])


@pytest.fixture(scope="module")
def paper(root: Path) -> Planned:
    return build_plan(root, PAPER, check_files=False)


@pytest.fixture(scope="module")
def tiny(root: Path) -> Planned:
    return build_plan(root, TINY, check_files=False)


@pytest.fixture(scope="module")
def find(paper: Planned) -> Find:
    """Find a node of the paper's plan by a label below `kodama_oda/`."""
    by_label = {label: node for node in paper.plan.nodes.values() for label in node.labels}
    return lambda label: by_label[f"kodama_oda/{label}"]


def name_average(study: str, variant: str, model: str = "") -> str:
    point = f"{variant} on {model}" if model else variant
    return f"{study}/{point}/mixture_seed 1/ipt_seed 1/average"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("study", "variant", "other", "same"),
    [
        ("category_ratio", "baseline", "raw_ratio", "instruction 0"),
        ("extreme_imbalance", "natural", "raw_ratio", "instruction 60"),
        ("extreme_imbalance", "English only", "language_ratio", "Japanese 0"),
        ("extreme_imbalance", "Japanese only", "language_ratio", "Japanese 100"),
    ],
)
def test_points_that_studies_share_are_one_artifact(
    find: Find, model: str, study: str, variant: str, other: str, same: str
) -> None:
    assert find(name_average(study, variant, model)).key == find(name_average(other, same, model)).key


def test_the_ablation_tunes_the_models_of_the_category_ratio_on_other_data(find: Find) -> None:
    for variant in ("baseline", "25-25-25-25", "17-17-17-50"):
        here, there = name_average("sft_ablation", variant), name_average("category_ratio", variant, "llmjp3")
        assert find(here).key == find(there).key
        tuned = (find(one.replace("average", "sft_seed 2/sft")) for one in (here, there))
        first, second = tuned
        assert first.key != second.key
        assert first.parents["model"] == second.parents["model"]


def test_scaling_starts_from_the_point_that_others_have(find: Find) -> None:
    shared = find(name_average("scaling", "25k steps on llmjp3"))
    assert shared.key == find(name_average("extreme_imbalance", "natural", "llmjp3")).key
    assert find(name_average("scaling", "100k steps on llmjp3")).key != shared.key


def test_what_only_looks_alike_is_another_mixture(find: Find) -> None:
    """Table 3's 25/25/25/25 has even categories; the baseline of Tables 4 and 12 has them as they are."""
    for model in MODELS:
        even, natural = (
            find(f"{study}/{variant} on {model}/mixture_seed 1/mixture")
            for study, variant in (("category_ratio", "25-25-25-25"), ("extreme_imbalance", "natural"))
        )
        assert even.key != natural.key
        assert isinstance(even.spec, MixtureSpec)
        assert isinstance(natural.spec, MixtureSpec)
        assert even.spec.mixture.instruction == natural.spec.mixture.instruction == Fraction(3, 5)
        assert natural.spec.mixture.category == "natural"
        assert set(even.spec.mixture.category.values()) == {Fraction(1, 4)}


def test_shares_of_the_13_mixes_are_exact(paper: Planned) -> None:
    variants = paper.studies["kodama_oda/category_ratio"].variants
    mixes = {label: one.category for label, one in variants.items() if label != "baseline"}
    assert len(mixes) == 13
    exact = {"0": Fraction(0), "17": Fraction(1, 6), "25": Fraction(1, 4), "33": Fraction(1, 3), "50": Fraction(1, 2),
             "100": Fraction(1)}  # fmt: skip
    for label, shares in mixes.items():
        wanted = dict(zip(("code", "general", "math", "reasoning"), label.split("-"), strict=True))
        found = shares.normalised("category")
        assert found == {name: exact[share] for name, share in wanted.items() if exact[share]}


def test_the_balanced_sft_data_have_the_counts_of_table_13(paper: Planned, shared_data: Path) -> None:
    sft = paper.studies["kodama_oda/sft_ablation"].sft
    assert sft is not None
    assert sft.mixture.cells is not None
    with (shared_data / "published/kodama-oda/table13.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["language"], row["category"]): int(row["n_samples"]) for row in csv.DictReader(file)}
    total = rows.pop(("all", "total"))
    names = {"English": "en", "Japanese": "ja"}
    assert sft.mixture.cells.weights == {f"{names[lang]}/{category}": n for (lang, category), n in rows.items()}
    assert sft.mixture.budget.samples == total


def test_seeds_models_and_stages_are_those_of_the_paper(paper: Planned) -> None:
    for name, study in paper.studies.items():
        assert (study.seeds.sft_seed, study.seeds.judge_run) == ((1, 2, 3), (1, 2, 3))
        wanted = {"sft_ablation": ("llmjp3",), "scaling": ("llmjp3", "llmjp3-13b")}
        assert tuple(study.base_models) == wanted.get(name.rpartition("/")[2], MODELS)


def test_every_table_and_figure_of_the_paper_is_a_target(paper: Planned, tiny: Planned) -> None:
    numbers = [1, 2, 3, 4, 5, 9, 12, 13, 14, 16]
    wanted = {f"table_{number:02d}" for number in numbers} | {f"figure_{number}" for number in (2, 3, 4)}
    for planned in (paper, tiny):
        named = [name for study in planned.studies.values() for name in study.targets]
        assert sorted(named) == sorted(wanted)
    with_numbers = [one for study in paper.studies.values() for one in study.targets.values()
                    if isinstance(one, ScoreTarget)]  # fmt: skip
    assert {one.published.table for one in with_numbers if one.published} == {"03", "04", "05", "12", "14", "16"}


def test_a_target_knows_which_benchmarks_the_study_declares_for_each_measure(paper: Planned) -> None:
    (report,) = (node for node in paper.plan.by_stage("report") if node.label == "kodama_oda/category_ratio/report")
    assert isinstance(report.spec, ReportSpec)
    found = {one.name: one.benchmarks for one in report.spec.targets}
    assert found["table_03"] == {"EN AVG": ("mt_bench_en",), "JA AVG": ("mt_bench_ja",)}
    assert found["table_05"]["JA GSM8K"] == ("mgsm_ja",)


def test_what_the_paper_does_not_say_is_assumed_and_told_in_the_report(paper: Planned) -> None:
    told = {name: {one.address for one in read.assumptions} for name, read in paper.reads.items()}
    paths = {one.path for one in paper.reads["kodama_oda/category_ratio"].assumptions}
    overridden = ("overrides", "variant_defaults", "instruction")
    assert {("base_models", name, *overridden) for name in MODELS} - paths == {("base_models", "llmjp3", *overridden)}
    assert {"judge.model", "targets.table_03.error", "targets.table_05.base_models"} <= told[
        "kodama_oda/category_ratio"
    ]
    (report,) = (node for node in paper.plan.by_stage("report") if node.label == "kodama_oda/category_ratio/report")
    assert isinstance(report.spec, ReportSpec)
    assert report.spec.report.data is not None
    assert "judge.model" in {one.address for one in report.spec.report.data.assumptions}


def list_edges(plan: Plan) -> set[tuple[str, str, str]]:
    """Edges by stage, role and stage of the parent; how a base model comes about is left out."""
    edges = set()
    for node in plan.nodes.values():
        if node.stage in (*BASES, "tokenizer"):
            continue
        for roles in (node.parents, node.reads):
            for role, references in roles.items():
                stages = {plan.nodes[split_reference(one)[0]].stage for one in references}
                edges |= {(node.stage, role, BASES.get(stage, stage)) for stage in stages}
    return edges


def describe_points(planned: Planned) -> dict[str, object]:
    """Describe what stands above the scores of every model, by its label without the study's folder."""
    plan = planned.plan
    known: dict[str, object] = {}

    def describe(key: str) -> object:
        node = plan.nodes[key]
        if node.stage in BASES or node.stage in ("mixture", "tokenizer", "source"):
            return BASES.get(node.stage, node.stage)
        if key not in known:
            known[key] = (
                node.stage,
                tuple(
                    (role, tuple(sorted(Counter(repr(describe(split_reference(one)[0])) for one in some).items())))
                    for role, some in sorted(node.parents.items())
                ),
            )
        return known[key]

    return {
        label.replace("kodama_oda/tiny/", "kodama_oda/"): describe(node.key)
        for node in plan.by_stage("scores")
        for label in node.labels
    }


def test_the_tiny_studies_have_the_points_and_the_edges_of_the_papers(paper: Planned, tiny: Planned) -> None:
    ours, theirs = describe_points(tiny), describe_points(paper)
    assert len(theirs) > 500
    assert ours == theirs
    assert list_edges(tiny.plan) == list_edges(paper.plan)
    for stage in ("ipt", "average", "sft", "generate", "score", "judge", "scores", "aggregate", "report", "counts"):
        assert len(tiny.plan.by_stage(stage)) == len(paper.plan.by_stage(stage)), stage


def test_the_tiny_studies_are_locked_here_and_the_papers_are_not(root: Path) -> None:
    startable = list_startable(REPOSITORY)
    assert {*TINY} <= {*startable}
    assert {*startable}.isdisjoint(PAPER)
    assert {*PAPER, *TINY} <= {*list_startable(root)}
