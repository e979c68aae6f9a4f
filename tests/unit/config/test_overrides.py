"""What is different for one base model: laid over the written study, checked as a whole, told where it was written."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from mixlab.config.editing import parse_edit
from mixlab.config.loading import problem_at
from mixlab.config.problems import ConfigError
from mixlab.config.studies import StudyFile, load_study, read_study
from mixlab.config.study import Study

REPOSITORY = Path(__file__).resolve().parents[3]
MICRO = REPOSITORY / "studies/micro.yaml"

Read = Callable[..., StudyFile]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "micro.yaml").write_text(MICRO.read_text(encoding="utf-8"), encoding="utf-8")

    def read_text(overrides: str, more: str = "") -> StudyFile:
        text = f"extends: micro.yaml\nbase_models:\n  tiny:\n    overrides:\n{overrides}{more}"
        (folder / "other.yaml").write_text(text, encoding="utf-8")
        return read_study(tmp_path, "other")

    return read_text


def problems_of(read: StudyFile) -> list[tuple[int, str, str]]:
    return [(problem.line, problem.key, problem.message) for problem in read.problems]


def test_a_base_model_sees_its_overrides_and_the_study_stays_as_written(read: Read) -> None:
    file = read("      ipt:\n        sequence_tokens: 32\n        training: {global_batch_windows: 4}\n")
    assert file.problems == ()
    seen = file.study.seen_by("tiny")
    assert (seen.ipt.sequence_tokens, seen.ipt.training.global_batch_windows) == (32, 4)
    assert seen.ipt.training.optimizer == file.study.ipt.training.optimizer
    assert (file.study.ipt.sequence_tokens, file.study.ipt.training.global_batch_windows) == (64, 8)
    assert seen.base_models["tiny"].overrides is None


def test_a_base_model_without_overrides_sees_the_study(tmp_path: Path, read: Read) -> None:
    read("      ipt: {sequence_tokens: 32}\n")
    study, _ = load_study(tmp_path, "micro")
    assert study.seen_by("tiny") is study


def test_an_override_that_says_what_the_study_says_changes_nothing(tmp_path: Path, read: Read) -> None:
    plain, _ = load_study(tmp_path, "micro")
    seen = read("      ipt: {sequence_tokens: 64}\n      average: {last: 4}\n").study.seen_by("tiny")
    assert {name: getattr(seen, name) for name in Study.model_fields} == {
        name: getattr(plain, name) for name in Study.model_fields
    }


def test_mixtures_may_differ_by_default_and_by_variant(read: Read) -> None:
    file = read(
        "      variant_defaults: {budget: {tokens: 20000}}\n"
        "      variants:\n        even: {language: {ratios: {en: 1/3, ja: 2/3}}, category: natural}\n"
    )
    assert file.problems == ()
    seen = file.study.seen_by("tiny").variants
    assert {variant.budget.tokens for variant in seen.values()} == {20_000}
    assert seen["even"].category == "natural"
    assert seen["math heavy 数学"].category == file.study.variants["math heavy 数学"].category
    shares = seen["even"].language
    assert not isinstance(shares, str)
    assert shares.normalised("language") == {"en": Fraction(1, 3), "ja": Fraction(2, 3)}
    assert file.study.variants["even"].budget.tokens == 16_000


def test_null_stays_where_it_is_a_value_of_its_own_in_overrides_files_that_extend_and_edits(
    tmp_path: Path, read: Read
) -> None:
    """`gradient_clip: null` clips nothing: it was taken for silence, which clips at 1, where something stood below."""
    clip = "ipt: {training: {gradient_clip: 0.7}}\n"
    file = read("      ipt: {training: {gradient_clip: null}}\n", clip)
    assert file.problems == ()
    assert (file.study.ipt.training.gradient_clip, file.study.seen_by("tiny").ipt.training.gradient_clip) == (0.7, None)
    judge = "judge: {{engine: openai, model: m, endpoint: e, temperature: {}, top_p: {}}}\n"
    (tmp_path / "studies/base.yaml").write_text("extends: micro.yaml\n" + clip + judge.format(0.5, 0.9))
    above = "extends: base.yaml\nipt: {training: {gradient_clip: null}}\njudge: {temperature: null, top_p: null}\n"
    (tmp_path / "studies/above.yaml").write_text(above)
    study, _ = load_study(tmp_path, "above")
    assert (study.ipt.training.gradient_clip, study.judge.temperature, study.judge.top_p) == (None, None, None)
    for name in ("base", "micro"):
        edited = read_study(tmp_path, name, [parse_edit("ipt.training.gradient_clip=null")])
        assert edited.study.ipt.training.gradient_clip is None


def test_null_takes_something_away_for_one_base_model(read: Read) -> None:
    file = read("      sft: null\n      ipt: {training: {snapshots: null}}\n")
    assert file.problems == ()
    seen = file.study.seen_by("tiny")
    assert seen.ipt.training.snapshots is None
    assert seen.sft is None
    assert file.study.sft is not None


def test_a_mistake_in_an_override_is_told_where_and_as_it_was_written(read: Read) -> None:
    file = read("      ipt:\n        training: {gradient_clp: 4}\n      variants:\n        even: {descripton: x}\n")
    assert problems_of(file) == [
        (
            6,
            "base_models.tiny.overrides.ipt.training.gradient_clp",
            "unknown key 'gradient_clp'; did you mean 'gradient_clip'?",
        ),
        (
            8,
            "base_models.tiny.overrides.variants.even.descripton",
            "unknown key 'descripton'; did you mean 'description'?",
        ),
    ]


@pytest.mark.parametrize(
    ("overrides", "key", "words"),
    [
        ("ipt: {sequence_tokens: 1}", "ipt.sequence_tokens", "expected a whole number > 1, got 1"),
        ("variants: {evn: {instruction: 1}}", "variants.evn", "no variant is named 'evn'; did you mean 'even'?"),
        ("variants: {even: {base_models: [tiny]}}", "variants.even", "say it in variants.even.base_models"),
        ("variants: {even: {category: {ratios: {math: 1}}}}", "variants.even.category", "either `ratios:`"),
        ("pools: {}", "pools", "unknown key 'pools'"),
        ("average: 4", "average", "got 4"),
    ],
)
def test_what_an_override_cannot_mean_is_told_once(read: Read, overrides: str, key: str, words: str) -> None:
    ((line, at, message),) = problems_of(read(f"      {overrides}\n"))
    assert (line, at) == (5, f"base_models.tiny.overrides.{key}")
    assert words in message


def test_an_override_of_a_variant_that_is_not_for_the_base_model_is_told(read: Read) -> None:
    more = (
        "  other:\n    tokenizer: bpe\n    model: {hidden_size: 32, layers: 1, heads: 2, feed_forward: 64}\n"
        "    mixture: {sources: [raw_file], budget: {tokens: 12000}}\n    sequence_tokens: 64\n"
        "    training:\n      optimizer: {name: adamw, learning_rate: 0.004}\n"
        "      schedule: {name: constant, warmup_steps: 5}\n      global_batch_windows: 8\n"
        "variants: {even: {base_models: [other]}}\n"
    )
    ((_, key, message),) = problems_of(read("      variants: {even: {instruction: 1}}\n", more))
    assert key == "base_models.tiny.overrides.variants.even"
    assert "variant 'even' is not for base model 'tiny'" in message


def test_a_mistake_of_the_study_itself_is_told_once_however_many_see_it(read: Read) -> None:
    file = read("      ipt: {sequence_tokens: 32}\n", "seeds: {sft_sed: [1]}\n")
    ((_, key, _),) = problems_of(file)
    assert key == "seeds.sft_sed"


def test_an_assumption_in_an_override_stands_under_its_own_address(read: Read) -> None:
    file = read("      ipt: {sequence_tokens: {value: 32, assumed: fits the memory}}\n")
    assert file.study.seen_by("tiny").ipt.sequence_tokens == 32
    assert [one.address for one in file.assumptions] == ["base_models.tiny.overrides.ipt.sequence_tokens"]


def test_overrides_that_nobody_laid_are_refused_not_ignored(tmp_path: Path, read: Read) -> None:
    file = read("      ipt: {sequence_tokens: 32}\n")
    bare = Study.model_validate(file.document.data)
    with pytest.raises(ValueError, match="overrides of base model 'tiny' were not laid"):
        bare.seen_by("tiny")


def test_problems_of_others_in_what_a_base_model_sees_have_the_address_of_the_override(read: Read) -> None:
    seen = read("      ipt:\n        sequence_tokens: 32\n").seen["tiny"]
    problem = problem_at(seen.document, ("ipt", "sequence_tokens"), "odd")
    assert (problem.line, problem.key) == (6, "base_models.tiny.overrides.ipt.sequence_tokens")
    assert problem_at(seen.document, ("sft",), "odd").key == "sft"


def test_a_study_that_does_not_exist_names_studies_alone(tmp_path: Path, read: Read) -> None:
    read("      ipt: {}\n")
    registry = tmp_path / "studies/lab/sources.yaml"
    registry.parent.mkdir()
    registry.write_text("sources: {}\n")
    with pytest.raises(ConfigError, match=r"did you mean 'micro'\? \(studies: micro, other\)"):
        read_study(tmp_path, "mikro")
