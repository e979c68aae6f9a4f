"""A study being edited at random, and edits that decide nothing: other spellings, orders, styles and places."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import yaml

MACHINE = "  micro_batch_windows: {0}\n  generation_batch: {0}\n  stages: {{ipt: {{threads: {0}}}}}\n"


@dataclass
class Draft:
    """A study being edited: its document, the lock, machine settings, and how it is written."""

    study: dict[str, Any]
    lock: dict[str, Any]
    machine: str = ""
    style: dict[str, Any] = field(default_factory=dict)
    shuffled: bool = False
    anchors: bool = False
    remarks: int = 0

    def render(self, rng: random.Random) -> str:
        """Write the study as YAML, in the style that was drawn."""
        study = _shuffle(self.study, rng) if self.shuffled else self.study
        # equal sections that are one object are written once, with an anchor
        study = _share(study, {}) if self.anchors else _unshare(study)
        text = yaml.dump(
            study, Dumper=yaml.CSafeDumper, allow_unicode=True, width=10_000, **{"sort_keys": False, **self.style}
        )
        lines = text.splitlines()
        for number in range(self.remarks):
            lines.insert(rng.randrange(len(lines) + 1), f"# remark {number}" if number % 2 else "")
        return "\n".join(lines) + "\n"


def _shuffle(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        rng.shuffle(names)
        return {name: _shuffle(value[name], rng) for name in names}
    return [_shuffle(one, rng) for one in value] if isinstance(value, list) else value


def _unshare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unshare(one) for name, one in value.items()}
    return [_unshare(one) for one in value] if isinstance(value, list) else value


def _share(value: Any, seen: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        value = {name: _share(one, seen) for name, one in value.items()}
        return seen.setdefault(repr(value), value)
    return [_share(one, seen) for one in value] if isinstance(value, list) else value


Mutate = Callable[[Draft, random.Random], None]


def having(draft: Draft, key: str) -> list[dict[str, Any]]:
    """The variants that say `key`, and what all take over where that does."""
    found = [draft.study.get("variant_defaults", {}), *draft.study["variants"].values()]
    return [one for one in found if key in one]


def trainings(draft: Draft) -> list[dict[str, Any]]:
    """Every training of a study."""
    study = draft.study
    bases = [one["training"] for one in study["base_models"].values()]
    return [*bases, study["ipt"]["training"], study["sft"]["training"]]


def _respell(draft: Draft, rng: random.Random) -> None:
    """Write exact numbers otherwise: 1/2, 2/4, 50 %, 0.5."""

    def spell(value: Any) -> Any:
        number = Fraction(str(value).rstrip(" %")) / (100 if "%" in str(value) else 1)
        forms = [f"{number.numerator}/{number.denominator}", f"{3 * number.numerator}/{3 * number.denominator}"]
        if set(_factors(number.denominator)) <= {2, 5}:
            forms += [f"{_decimal(number * 100)} %", _decimal(number), f"{_decimal(number)}0"]
        return rng.choice(forms)

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            inner = key if key in ("ratios", "weights", "factors") else ""
            return {name: walk(one, inner or name) for name, one in value.items()}
        if isinstance(value, list):
            return [walk(one, key) for one in value]
        exact = key in ("ratios", "weights", "factors", "instruction", "max_epochs", "at_least", "from_share", "passes")
        return spell(value) if exact and value != "natural" else value

    draft.study = walk(draft.study, "")


def _factors(number: int) -> list[int]:
    return [prime for prime in range(2, number + 1) if number % prime == 0 and all(prime % d for d in range(2, prime))]


def _decimal(number: Fraction) -> str:
    text = f"{float(number):.12f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _scale(draft: Draft, rng: random.Random) -> None:
    factor = rng.choice([2, 7, Fraction(1, 2)])
    for one in having(draft, "category"):
        if "weights" in one["category"]:
            weights = one["category"]["weights"]
            scaled = {name: Fraction(str(value).replace(" %", "")) * factor for name, value in weights.items()}
            if not any("%" in str(value) for value in weights.values()):
                one["category"] = {"weights": {name: str(value) for name, value in scaled.items()}}


def _as_ratios(draft: Draft, rng: random.Random) -> None:
    for one in having(draft, "category"):
        weights = one["category"].get("weights")
        if weights and not any("%" in str(value) for value in weights.values()):
            whole = sum(Fraction(str(value)) for value in weights.values())
            ratios = {name: str(Fraction(str(value)) / whole) for name, value in weights.items()}
            one["category"] = {"ratios": ratios}


def _order(draft: Draft, rng: random.Random) -> None:
    draft.shuffled = True


def _style(draft: Draft, rng: random.Random) -> None:
    draft.style = rng.choice(
        [
            {"default_flow_style": True},
            {"default_flow_style": None},
            {"indent": 4},
            {"default_style": None, "sort_keys": True},
        ]
    )


def _remarks(draft: Draft, rng: random.Random) -> None:
    draft.remarks = rng.randint(1, 12)


def _anchors(draft: Draft, rng: random.Random) -> None:
    draft.anchors = True


def _defaults(draft: Draft, rng: random.Random) -> None:
    """Say what holds anyway."""
    for training in trainings(draft):
        training.setdefault("gradient_clip", 1.0)
        training.setdefault("dtype", "float32")
    for one in draft.study["sources"].values():
        one.setdefault("on_bad_record", "fail")
    draft.study["average"].setdefault("method", "uniform")
    draft.study["sft"].setdefault("layout", "one_per_window")
    draft.study["seeds"].setdefault("generation_seed", [1])
    draft.study.setdefault("contamination", {}).setdefault("words", 13)


def _idle(draft: Draft, rng: random.Random) -> None:
    origin = {"type": "generator", "name": "invented_world", "size": 9, "options": {"language": "ja", "world_seed": 3}}
    draft.study["sources"][f"idle_{rng.randint(1, 9)}"] = {
        "kind": "raw", "language": "ja", "licence": "CC-BY-NC-4.0", "origin": origin,
    }  # fmt: skip


def _shards(draft: Draft, rng: random.Random) -> None:
    draft.study["tokens"] = {"shard_bytes": rng.choice(["6 kB", "4 GiB", "7000"])}


def _machine(draft: Draft, rng: random.Random) -> None:
    draft.machine = MACHINE.format(rng.randint(2, 9))


def _places(draft: Draft, rng: random.Random) -> None:
    """Files of other names below another root."""
    for name in draft.lock.keys() & draft.study["sources"].keys():
        origin = draft.study["sources"][name]["origin"]
        origin["paths"] = [f"moved/{path}" for path in origin["paths"]]
        for file in draft.lock[name]["files"]:
            file["path"] = f"moved/{file['path']}"
        draft.lock[name]["paths"] = origin["paths"]


WRITING = (
    _respell,
    _scale,
    _as_ratios,
    _order,
    _style,
    _remarks,
    _anchors,
    _defaults,
    _idle,
    _shards,
    _machine,
    _places,
)
"""Edits that change how it says it, and nothing of what it makes."""
