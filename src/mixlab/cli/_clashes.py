"""How one key with several sets of bytes is shown: who made which, in what they differ, what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixlab.artifacts.clashes import Clash, Side
from mixlab.plan.stages import STAGES

BROKEN, VALID = "broken promise", "equally valid"
_MOST_FIELDS = 8


def judge_clash(clash: Clash) -> str:
    """Say in two words what it means: a broken promise of equal bytes, or makings that may differ by rounding."""
    stage = STAGES.get(clash.stage)
    return VALID if stage is not None and stage.reproducible == "numeric" else BROKEN


def render_clash(clash: Clash) -> list[str]:
    """Render a clash for people, with the line that keeps one side."""
    lines = [f"{clash.stage} {clash.key}: one key, {len(clash.sides)} sets of bytes"]
    for side in clash.sides:
        lines.append(f"  {side.sign}  {', '.join(side.places)}")
        lines += [f"    {_render_record(record)}" for record in side.records] or [
            "    no provenance of these bytes known"
        ]
    if clash.unclear:
        lines += ["  made, but nobody knows which:", *(f"    {_render_record(record)}" for record in clash.unclear)]
    fields = clash.differing
    shown = [*fields[:_MOST_FIELDS], *(["…"] if len(fields) > _MOST_FIELDS else [])]
    lines.append(
        f"  they were made with other {', '.join(shown)}" if fields else "  their provenance differs in nothing"
    )
    if judge_clash(clash) == BROKEN:
        lines.append(
            f"  a {BROKEN}: {clash.stage} declares the same bytes for the same key; find out why, then keep one:"
        )
    else:
        lines.append(
            f"  {VALID}: {clash.stage} is reproducible up to rounding; what was made of either stays; keep one:"
        )
    lines.append(f"  mixlab merge --keep {clash.sides[0].sign} {clash.key}")
    return lines


def _render_record(record: Mapping[str, Any]) -> str:
    versions = record.get("versions", {})
    known = ", ".join(f"{name} {versions[name]}" for name in ("mixlab", "torch") if name in versions)
    commit = str(record.get("commit", ""))[:12] or "none"
    return f"made {record.get('finished', '?')} on {record.get('host', '?')}, commit {commit}, {known}"


def describe_clashes(clashes: Sequence[Clash]) -> list[dict[str, Any]]:
    """Describe clashes for JSON."""
    return [
        {
            "stage": clash.stage,
            "key": clash.key,
            "verdict": judge_clash(clash),
            "sides": [_describe_side(side) for side in clash.sides],
            "unclear": [dict(record) for record in clash.unclear],
            "differing": clash.differing,
        }
        for clash in clashes
    ]


def _describe_side(side: Side) -> dict[str, Any]:
    return {
        "digest": side.digest,
        "md5": side.pointer.oid,
        "bytes": side.pointer.bytes,
        "places": list(side.places),
        "provenance": [dict(record) for record in side.records],
    }
