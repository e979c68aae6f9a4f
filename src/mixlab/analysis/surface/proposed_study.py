"""Proposed mixtures as variants of a study: what `mixlab propose` prices, and the file it writes.

The file extends the study it continues, and adds variants. So what is finished has the same keys and is not made again,
and the next proposal sees all of it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from mixlab.analysis.surface.study_points import RAW
from mixlab.config.editing import Edit
from mixlab.config.exact import ExactFloat
from mixlab.config.laying import VARIANTS
from mixlab.config.studies import StudyFile

_CARRIED = ("sources", "raw_groups", "raw", "budget", "max_epochs", "on_empty_cell", "base_models")
_ROUND = re.compile(r"^(?P<base>.+)_round(?P<number>\d+)$")


def name_round(study: str) -> tuple[str, int]:
    """Name the study that continues one, and the number of its round: `demo` -> `demo_round1` -> `demo_round2`."""
    match = _ROUND.match(study)
    base, number = (match["base"], int(match["number"]) + 1) if match else (study, 1)
    return f"{base}_round{number}", number


def name_variant(number: int, place: int) -> str:
    """Name the variant at a place, from 1, of a round."""
    return f"round {number} no. {place}"


def build_variant(components: Sequence[str], ratios: Sequence[Fraction], carried: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variant as a study writes it: its instruction ratio and the cells within, exact."""
    shares = dict(zip(components, ratios, strict=True))
    instruction = 1 - shares.get(RAW, Fraction())
    told = ", ".join(f"{name} {share}" for name, share in shares.items() if share)
    variant: dict[str, Any] = {
        "description": f"proposed: {told} of the whole",
        "instruction": str(instruction),
        "language": "natural",
        "category": "natural",
    }
    if instruction:
        cells = {name: str(share / instruction) for name, share in shares.items() if name != RAW and share}
        variant["cells"] = {"ratios": cells}
    return {**variant, **carried}


def carry_over(read: StudyFile) -> dict[str, Any]:
    """Return what proposed variants take from the variant with the most sources, and no default gives them."""
    variants = read.document.data[VARIANTS]
    labels = list(variants)
    template = max(labels, key=lambda label: len(read.study.variants[label].names()))
    carried = {}
    for key in _CARRIED:
        addresses = {read.document.addresses.get((VARIANTS, label, key)) for label in labels}
        is_default = len(labels) > 1 and len(addresses) == 1
        if key in variants[template] and not is_default:
            carried[key] = variants[template][key]
    if any((one or {}).get("base_models") != variants[template].get("base_models") for one in variants.values()):
        carried.pop("base_models", None)
    return carried


def build_edits(variants: Mapping[str, Mapping[str, Any]]) -> list[Edit]:
    """Return the edits that add variants to a study."""
    return [Edit((VARIANTS, name), dict(value), f"{VARIANTS}.{name}") for name, value in variants.items()]


def render_study(extends: str, title: str, comments: Sequence[str], variants: Mapping[str, Mapping[str, Any]]) -> str:
    """Render the file of a study that extends another, which lies in the same folder, by variants."""
    lines = [f"# {comment}" for comment in comments]
    base = extends.rpartition("/")[2]
    lines += [f"extends: {_render_value(f'{base}.yaml')}", f"title: {_render_value(title)}", "", f"{VARIANTS}:"]
    for name, variant in variants.items():
        lines.append(f"  {_render_value(name)}:")
        lines += [f"    {key}: {_render_value(value)}" for key, value in variant.items()]
    return "\n".join(lines) + "\n"


def _render_value(value: Any) -> str:
    """Render a value in YAML's flow style, which JSON is a part of; digits stay as their writer wrote them."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_render_value(str(key))}: {_render_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_render_value(one) for one in value) + "]"
    if isinstance(value, ExactFloat):
        return value.text
    return json.dumps(value, ensure_ascii=False)
