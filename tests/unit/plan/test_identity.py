"""What a key depends on: exact numbers and meaning, not spelling; parents by role, never reads."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from golden import REPOSITORY, list_keys, plan_micro

from mixlab.artifacts.store import Store
from mixlab.config.exact import parse_exact
from mixlab.config.machine import MachineSettings
from mixlab.plan import specs
from mixlab.plan.canonical import render_spec, to_plain
from mixlab.plan.graph import Plan
from mixlab.plan.planfile import read_plan, render_plan, write_plan
from mixlab.plan.sources_lock import check_sources, read_lock

Keys = dict[str, dict[str, str]]
Edited = Callable[..., Keys]

HALF = "    instruction: 1/2\n    category: {weights: {math: 1"


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    """Keys of the micro study after replacements in its text."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "config.yaml").write_text("study: micro\nmachine: {data_roots: {micro: tests/data/micro}}\n")
    (tmp_path / "sources.lock").write_text((REPOSITORY / "sources.lock").read_text())

    def plan(*changes: tuple[str, str]) -> Keys:
        text = (REPOSITORY / "studies/micro.yaml").read_text()
        for old, new in changes:
            assert old in text, f"mend the test: {old!r} is not in the study"
            text = text.replace(old, new)
        (tmp_path / "studies/micro.yaml").write_text(text)
        return list_keys(plan_micro(tmp_path))

    return plan


@pytest.mark.parametrize("text", ["0.5", "50 %", "50%", "1/2", "0.50", "5e-1", "2/4", "'0.5'", "+.5"])
def test_one_number_has_one_key_however_it_is_written(edited: Edited, text: str) -> None:
    assert edited((HALF, HALF.replace("1/2", text))) == edited()


@pytest.mark.parametrize(
    "text", ["0.5000000000000000000001", "49.9999999999999999999 %", "500000000000000001/1000000000000000000"]
)
def test_a_number_is_never_snapped_to_a_nearby_one(edited: Edited, text: str) -> None:
    assert edited((HALF, HALF.replace("1/2", text)))["mixture"] != edited()["mixture"]


def test_a_third_is_not_33_33_percent(edited: Edited) -> None:
    third = edited((HALF, HALF.replace("1/2", "1/3")))
    assert edited((HALF, HALF.replace("1/2", "33.33 %")))["mixture"] != third["mixture"]
    assert edited((HALF, HALF.replace("1/2", "3333/10000"))) == edited((HALF, HALF.replace("1/2", "33.33 %")))
    assert parse_exact("33.33 %") != parse_exact("1/3")


@pytest.mark.parametrize("text", ["1e99999999", "1E-99999999 %", "1e6000", "0.1e+401"])
def test_a_number_that_would_take_hours_to_write_out_is_told_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number like"):
        parse_exact(text)
    assert parse_exact("1e-400") * 10**400 == 1


def test_the_sign_of_zero_means_nothing(edited: Edited) -> None:
    rate = "learning_rate: 0.002}"
    plus, minus = (edited((rate, f"learning_rate: 0.002, weight_decay: {zero}}}")) for zero in ("0.0", "-0.0"))
    assert plus == minus


@pytest.mark.parametrize(
    "change",
    [
        ("title: Micro study\n", "# remark\n\n\ntitle:    'Micro study'   # remark\n"),
        ("{math: 1, reasoning: 1}", "{reasoning: 1, math: 1}"),
        ("{math: 3, reasoning: 1}", "{math: 6, reasoning: 2}"),
        ("learning_rate: 0.004", "learning_rate: 4e-3"),
        ("[raw_file, raw_ja, math_file, reasoning_ja]", "[reasoning_ja, raw_ja, math_file, raw_file]"),
        ("{vocab_size: 400, sources: [raw_file, raw_ja]}", "{sources: [raw_ja, raw_file], vocab_size: 400}"),
        ("max_epochs: 8", "max_epochs: 8.0"),
        ("loss: response", "loss: response\n    dtype: float32\n    passes: 100 %"),
        ("sft_seed: [1, 2]", "sft_seed: [2, 1]"),
        ("tokens: {shard_bytes: 10 kB}", "tokens: {shard_bytes: 10_000}"),
        ("- {type: exact_duplicates}", "- {ignore_case: false, type: exact_duplicates, against: []}"),
        ("engine: {type: rules}", "engine: {type: rules, version: 1}"),
    ],
    ids=lambda change: change[1],
)
def test_spelling_order_and_defaults_written_out_change_no_key(edited: Edited, change: tuple[str, str]) -> None:
    assert edited(change) == edited()


def test_a_renamed_variant_keeps_every_key_but_the_reports(edited: Edited) -> None:
    before, after = edited(), edited(("  even:", "  uniform:"), ("against: even", "against: uniform"))
    for stage, keys in before.items():
        same = sorted(keys.values()) == sorted(after[stage].values())
        assert same == (stage != "report"), stage


def test_names_of_sources_and_licences_stand_in_counts_and_report_alone(edited: Edited) -> None:
    before = edited()
    # a licence of the same tier, which the policy of the study allows as well
    for change, expected in (
        (("licence: CC0-1.0", "licence: PDDL-1.0"), {"report"}),
        (("reasoning_ja", "reasons_ja"), {"counts", "report"}),
    ):
        after = edited(change)
        moved = {stage for stage, keys in before.items() if sorted(keys.values()) != sorted(after[stage].values())}
        assert moved == expected


def test_equal_variants_are_one_artifact_with_two_labels(edited: Edited, tmp_path: Path) -> None:
    keys = edited(("{math: 3, reasoning: 1}", "{math: 7, reasoning: 7}"))
    assert len(keys["ipt"]) == 1
    labels = next(iter(plan_micro(tmp_path).by_stage("ipt"))).labels
    assert [label.split("/")[1] for label in labels] == ["even", "math heavy 数学"]


def test_a_source_without_a_share_is_no_part_of_a_mixture(edited: Edited) -> None:
    # reasoning_ja is to be labelled: its part `math` would have a share of math, were the language not said
    axes = "category: {ratios: {math: 1}}\n    language: {ratios: {en: 1}}\n"
    only_math = (HALF, f"    instruction: 1/2\n    {axes}    budget: {{tokens: 15000}}\n    #")
    without = "    sources: [raw_file, raw_ja, math_file]\n"
    with_idle, alone = edited(only_math), edited((only_math[0], without + only_math[1]))
    assert with_idle["mixture"] == alone["mixture"]


def test_study_seed_moves_every_seed_and_every_generated_source(edited: Edited) -> None:
    before, after = edited(), edited(("title: Micro study\n", "title: Micro study\nstudy_seed: 1\n"))
    kept = {stage: set(keys.values()) & set(after[stage].values()) for stage, keys in before.items()}
    from_files = {
        "source": {before["source"][f"micro/source/{name}"] for name in ("raw_file", "math_file")},
        "filter": {before["filter"][f"micro/filter/{name}/1 exact_duplicates"] for name in ("raw_file", "math_file")},
    }
    assert {stage: keys for stage, keys in kept.items() if keys} == from_files


def test_reads_enter_no_key_and_roles_and_order_do() -> None:
    spec = specs.AverageSpec.model_validate({"averaging": {"last": 2}})

    def key(parents: dict[str, tuple[str, ...]], reads: dict[str, tuple[str, ...]] | None = None) -> str:
        return Plan().add(spec, parents, "", reads).key

    parents = {"snapshots": ("a:last-00", "a:last-01")}
    assert key(parents, {"stores": ("b",)}) == key(parents)
    assert key({"snapshots": ("a:last-01", "a:last-00")}) != key(parents)
    assert key({"models": parents["snapshots"]}) != key(parents)
    assert key({"snapshots": ("a", "a")}) != key(parents)


def test_absent_parents_are_left_out_and_parents_in_another_order_of_roles_are_the_same() -> None:
    spec = specs.AverageSpec.model_validate({"averaging": {"last": 1}})
    both = Plan().add(spec, {"a": ("1",), "b": ("2",)}, "").key
    assert Plan().add(spec, {"b": ("2",), "a": ("1",)}, "").key == both
    assert Plan().add(spec, {"a": ("1",)}, "").key != both


def test_a_type_without_a_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no canonical form for set"):
        to_plain({1, 2})


def test_a_plan_read_from_its_file_is_the_plan(tmp_path: Path) -> None:
    plan = plan_micro()
    text = render_plan(plan, MachineSettings(), {"0" * 64: "somewhere"})
    path = write_plan(Store(tmp_path), text)
    again = read_plan(path)
    assert list_keys(again.plan) == list_keys(plan)
    for node in plan.nodes.values():
        other = again.plan.nodes[node.key]
        assert (other.parents, other.reads, other.group, other.labels) == (
            node.parents,
            node.reads,
            node.group,
            node.labels,
        )
        assert render_spec(other.spec) == plan.spec_json(node.spec)
    assert write_plan(Store(tmp_path), text) == path
    assert again.files == {"0" * 64: "somewhere"}


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys, pathlib; from mixlab.plan.build import build_plan\n"
        "build_plan(pathlib.Path.cwd(), ['micro'], check_files=False)\n"
        "heavy = 'torch pandas numpy snakemake dvc transformers tokenizers scipy pyarrow'.split()\n"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_locked_file_that_changed_is_found_and_one_that_is_gone_is_not_missed(tmp_path: Path) -> None:
    machine = MachineSettings(data_roots={"micro": "data"}, rehash_limit_mib=0)
    lock = {name: one for name, one in read_lock(REPOSITORY).items() if name == "math_file"}
    assert check_sources(lock, machine, tmp_path, tmp_path / "work") == []
    (tmp_path / "data").mkdir()
    path = tmp_path / "data/math_en.jsonl"
    text = (REPOSITORY / "tests/data/micro/math_en.jsonl").read_bytes()
    path.write_bytes(text)
    large = check_sources(lock, machine, tmp_path, tmp_path / "work")
    assert "looks changed and is too large to hash while planning" in large[0].message
    machine = MachineSettings(data_roots={"micro": "data"})
    assert check_sources(lock, machine, tmp_path, tmp_path / "work") == []
    path.write_bytes(text.replace(b"Lena", b"Lisa"))
    (problem,) = check_sources(lock, machine, tmp_path, tmp_path / "work")
    assert "is not the file that was locked; run `mixlab lock math_file`" in problem.message


@pytest.mark.parametrize("said", ["kv_heads: 2", "head_size: 16", "kv_heads: 2, head_size: 16"])
def test_heads_as_they_are_anyway_may_be_written_out(edited: Edited, said: str) -> None:
    heads = "heads: 2,"
    assert edited((heads, f"{heads} {said},")) == edited()
    other = said.replace("kv_heads: 2", "kv_heads: 1").replace("16", "32")
    assert edited((heads, f"{heads} {other},"))["pretrain"] != edited()["pretrain"]
