"""What the fine-tuning of a study cannot mean: its ways, the epochs they keep, the points that come of both."""

from collections import Counter
from collections.abc import Sequence

from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.config.training import TrainSettings
from mixlab.plan.checks_data import Found, Path, unknown


def check_tuning(study: Study, read: StudyFile) -> Found:
    """Look whether sft and its further ways say what can be done, under names that differ."""
    sft = study.sft
    if sft is None:
        return
    ways: list[tuple[Path, TrainSettings]] = [(("sft", "training"), sft.training)]
    for name, one in sft.others.items():
        ways.append((("sft", "others", name, "training"), one.training))
        for position, label in enumerate(one.variants or ()):
            if label not in read.names("variants"):
                known = read.names("variants")
                yield ("sft", "others", name, "variants", position), unknown("variant", label, known)
    for path, training in ways:
        yield from check_seeds_matter((*path, "order"), training, "sft_seed", study.seeds.sft_seed)
        if training.snapshots is not None:
            message = "sft keeps its last model and, with keep_epochs, one after each pass; remove snapshots"
            yield (*path, "snapshots"), message
        if sft.evaluate_epochs and training.kept_epochs is None:
            message = "the epochs to be evaluated must be known before the windows are; give passes instead"
            yield (*path, "steps"), message
    if sft.evaluate_epochs and not any(training.keep_epochs for _, training in ways):
        yield ("sft", "evaluate_epochs"), "no epoch is kept; set keep_epochs in the training as well"
    if sft.layout == "packed" and sft.mixture.budget.samples is not None:
        message = "samples count windows of one dialogue each, and layout packed puts several into one"
        yield ("sft", "mixture", "budget"), f"{message}; give the budget in epochs, tokens or windows"
    points = Counter([*list_tuned(study, read), *read.names("variants")])
    for point in sorted(point for point, times in points.items() if times > 1):
        yield ("sft", "others"), f"two points are called '{point}'; call the way of fine-tuning something else"


def check_seeds_matter(path: Path, training: TrainSettings, axis: str, seeds: Sequence[int]) -> Found:
    """A full run from a given model in the mixture's own order has nothing left for a seed to decide."""
    if training.order == "mixture" and len(seeds) > 1 and training.lora is None:
        message = f"order: mixture leaves nothing to {axis}, so its {len(seeds)} seeds would be one model counted often"
        yield path, f"{message}; write order: shuffled, or one seed"


def list_tuned(study: Study, read: StudyFile) -> list[str]:
    """Name the points that fine-tuning makes beside the variants' own: further ways, and epochs."""
    models, sft = read.names("base_models"), study.sft
    if sft is None:
        return []
    pairs = ((label, base) for label, variant in study.variants.items() for base in variant.base_models or models)
    tuned = (sft.tuned_points(label, f"{label} on {base}" if len(models) > 1 else label) for label, base in pairs)
    return [point for points in tuned for point in points]
