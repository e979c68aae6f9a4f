"""What a base model cannot do, as far as its sizes are known: windows, answers beyond its positions, wide adapters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mixlab.config.base_models import ScratchModelConfig
from mixlab.config.model_facts import PROJECTIONS, find_positions, list_widths
from mixlab.config.model_flops import build_decoder_shape
from mixlab.config.problems import ConfigError
from mixlab.config.study import Study
from mixlab.config.training import LoraSettings, TrainSettings
from mixlab.plan.base_model_lock import BASE_MODEL, is_locked
from mixlab.plan.sources_lock import LockedSource

Path = tuple[str | int, ...]
Found = Iterator[tuple[Path, str]]
Lock = Mapping[str, LockedSource]


@dataclass(frozen=True)
class _Sizes:
    """Longest sequence, its name, and the narrowest side of each projection; None where that is not known.

    `positions` are those of training, `asked_positions` those of responses: windows that slide limit training alone.
    """

    positions: int | None
    asked_positions: int | None
    called: str
    widths: Mapping[str, int] | None
    cure: str


def _find_sizes(study: Study, lock: Lock, name: str) -> _Sizes | None:
    config = study.base_models.get(name)
    if config is None:
        return None
    if isinstance(config, ScratchModelConfig):
        model = study.architecture_of(name)
        if model is None:
            return None
        widths = list_widths(build_decoder_shape(model, 1))
        return _Sizes(
            model.max_positions,
            model.max_positions,
            "max_positions",
            widths,
            f"raise max_positions of base_models.{name}",
        )
    locked = lock.get(f"{BASE_MODEL}{name}")
    if locked is None or locked.model is None or not is_locked(config, locked):
        return None
    config_json = locked.model.config
    positions, asked = find_positions(config_json), find_positions({**config_json, "sliding_window": None})
    return _Sizes(positions, asked, "the longest sequence", locked.model.widths(), "take a model with more positions")


def check_reach(study: Study, lock: Lock, path: Path, sequence_tokens: int, models: Sequence[str]) -> Found:
    """Look whether base models have positions for windows of so many tokens.

    Of a model that is read the lock says it; where that is older and does not, the run says it when it starts.
    """
    for name in models:
        sizes = _find_sizes(study, lock, name)
        if sizes is not None and sizes.positions is not None and sequence_tokens > sizes.positions:
            message = f"{sequence_tokens} tokens are more than {sizes.called} {sizes.positions} of '{name}'"
            yield (*path, "sequence_tokens"), f"{message}; lower it or {sizes.cure}"


def check_room(study: Study, lock: Lock, models: Sequence[str]) -> Found:
    """Look whether responses leave room for a prompt in base models: what is trained has their positions."""
    for name, use in study.benchmarks.items():
        try:
            declaration = use.declaration(name)
        except (ConfigError, ValueError):
            continue
        tokens = declaration.prompt.sampling.max_new_tokens
        path: Path = ("benchmarks", name)
        for model in models if not declaration.asks_likelihoods() else ():
            sizes = _find_sizes(study, lock, model)
            if sizes is not None and sizes.asked_positions is not None and tokens >= sizes.asked_positions:
                at = path if use.max_new_tokens is None else (*path, "max_new_tokens")
                message = (
                    f"responses of {tokens} tokens leave no room for a prompt in {sizes.called} {sizes.asked_positions}"
                )
                cure = "lower max_new_tokens of the benchmark here"
                yield at, f"{message} of '{model}', so nothing would be asked; {cure} or {sizes.cure}"


def check_adapters(study: Study, lock: Lock, models: Sequence[str]) -> Found:
    """Look whether base models have the projections that adapters name, none of them narrower than the rank."""
    if not models:
        return
    trainings: dict[Path, TrainSettings] = {}
    if study.ipt is not None:
        trainings[("ipt", "training")] = study.ipt.training
    if study.sft is not None:
        trainings[("sft", "training")] = study.sft.training
        for label, one in study.sft.others.items():
            trainings["sft", "others", label, "training"] = one.training
    for path, training in trainings.items():
        if training.lora is None:
            continue
        for name in models:
            sizes = _find_sizes(study, lock, name)
            if sizes is not None and sizes.widths is not None:
                yield from _check_adapter((*path, "lora"), training.lora, name, sizes.widths)


def _check_adapter(path: Path, lora: LoraSettings, name: str, widths: Mapping[str, int]) -> Found:
    if absent := [target for target in lora.targets if target not in widths]:
        known = [target for target in PROJECTIONS if target in widths]
        there = f"; it has {', '.join(known)}" if known else ", nor any other that an adapter may stand beside"
        cure = "leave it out" if widths else "train in full"
        yield (*path, "targets"), f"base model '{name}' has no projection {', '.join(absent)}{there}; {cure}"
    narrow = {target: widths[target] for target in lora.targets if widths.get(target, lora.rank) < lora.rank}
    if narrow:
        told = ", ".join(f"the {width} of '{target}'" for target, width in narrow.items())
        message = f"rank {lora.rank} is more than {told} in base model '{name}'"
        yield (*path, "rank"), f"{message}; lower it, or train in full"
