"""What the pairwise judging of a study cannot mean."""

from collections.abc import Mapping, Sequence

from mixlab.config.benchmarks import BenchmarkDeclaration
from mixlab.config.judging import ModelJudgeConfig
from mixlab.config.pairwise import PairConfig, PairwiseConfig
from mixlab.config.problems import ConfigError
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.plan.checks_data import Found, Path, unknown
from mixlab.plan.checks_tuning import list_tuned

Points = Mapping[str, frozenset[str]]
"""Labels, each with the stages at which there is a model of it."""


def check_pairwise(study: Study, read: StudyFile) -> Found:
    """Look whether what is to be compared is there, was judged, and has a judge that can compare."""
    pairwise = study.pairwise
    if pairwise is None:
        return
    if not isinstance(study.judge, ModelJudgeConfig):
        message = "the judge is a rule, which rates one answer and compares none; name a model: judge: {engine: openai"
        yield ("pairwise",), f"{message}, model: NAME, endpoint: NAME}}"
    points, judged = _list_points(study, read), _list_judged(study)
    is_whole = len(judged) == len(read.names("benchmarks"))
    if is_whole and not any(one.judged for one in judged.values()):
        yield ("pairwise",), "the study has no judged benchmark, so no answers are compared; add mt_bench_en or another"
    for position, config in enumerate(pairwise.comparisons):
        path = ("pairwise", "comparisons", position)
        yield from _check_points(study, config, path, points)
        for place, name in enumerate(config.benchmarks):
            if name not in read.names("benchmarks"):
                yield (*path, "benchmarks", place), unknown("benchmark", name, read.names("benchmarks"))
            elif name in judged and not judged[name].judged:
                known = ", ".join(sorted(one for one, declared in judged.items() if declared.judged)) or "none"
                message = f"'{name}' is scored, not judged, so its answers are not compared; judged: {known}"
                yield (*path, "benchmarks", place), message
        for earlier, other in enumerate(pairwise.comparisons[:position]):
            if config.variant is not None and _is_same(config, other):
                yield path, f"compares what comparisons[{earlier}] compares; a pair is compared once, so remove one"
    yield from _check_prompts(pairwise, judged)


def _check_points(study: Study, config: PairConfig, path: Path, points: Points) -> Found:
    stage = config.stage or ("before_sft" if study.sft is None else "after_sft")
    if config.stage == "after_sft" and study.sft is None:
        yield (*path, "stage"), "the study has no sft, so nothing is compared after it"
        return
    named = {"against": config.against} | ({} if config.variant is None else {"variant": config.variant})
    for field, label in named.items():
        if label not in points:
            yield (*path, field), unknown("variant or served model", label, points)
        elif not points[label] & {stage, "served"}:
            yield (*path, "stage"), f"'{label}' is a way of fine-tuning, so it has no answers before it"
    found = [points[label] for label in named.values() if label in points]
    if config.stage is not None and len(found) == 2 and all(stages == {"served"} for stages in found):
        yield (*path, "stage"), "both are served models, which have no stage; remove it"
    if config.variant is None and not any(
        stages & {stage, "served"} for label, stages in points.items() if label != config.against
    ):
        yield path, f"there is no other point to be compared with '{config.against}'"


def _check_prompts(pairwise: PairwiseConfig, judged: Mapping[str, BenchmarkDeclaration]) -> Found:
    languages = {one.judge_language() for one in judged.values() if one.judged}
    for language in sorted(languages - set(pairwise.prompts)):
        message = f"there are no prompts for '{language}', the language of a judged benchmark"
        yield ("pairwise", "prompts"), f"{message}; add them or leave prompts out"


def _is_same(config: PairConfig, other: PairConfig) -> bool:
    """Whether two entries name one pair, at one stage, for a benchmark that both name."""
    is_pair = {config.variant, config.against} == {other.variant, other.against} and config.stage == other.stage
    chosen, others = set(config.benchmarks), set(other.benchmarks)
    return is_pair and (not chosen or not others or bool(chosen & others))


def _list_judged(study: Study) -> dict[str, BenchmarkDeclaration]:
    """Read the declarations that can be read; what is wrong with others is told elsewhere."""
    declared = {}
    for name, use in study.benchmarks.items():
        try:
            declared[name] = use.declaration(name)
        except (ConfigError, ValueError):
            continue
    return declared


def _list_points(study: Study, read: StudyFile) -> Points:
    bases: Sequence[str] = read.names("base_models")
    tuned = frozenset({"after_sft"})
    made = tuned | {"before_sft"} if study.sft is not None else frozenset({"before_sft"})
    points: dict[str, frozenset[str]] = {}
    for label in read.names("variants"):
        variant = study.variants.get(label)
        for base in (variant.base_models if variant is not None else None) or bases:
            points[label if len(bases) == 1 else f"{label} on {base}"] = made
    points |= dict.fromkeys(list_tuned(study, read), tuned)
    return points | dict.fromkeys(read.names("served_models"), frozenset({"served"}))
