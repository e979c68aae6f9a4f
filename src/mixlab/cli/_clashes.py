"""How one key with several sets of bytes is shown: who made which, in what they differ, what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixlab.artifacts.clashes import Clash, Side
from mixlab.plan.stages import STAGES

BROKEN, VALID, INHERITED = "broken promise", "equally valid", "follows from its parents"
_MOST_FIELDS = 8
_MOST_PARENTS = 2


def judge_clash(clash: Clash) -> str:
    """Say in a few words what it means: makings that may differ by rounding, or that were made of such, or neither.

    The last is a broken promise of equal bytes.
    """
    stage = STAGES.get(clash.stage)
    if stage is not None and stage.reproducible == "numeric":
        return VALID
    return INHERITED if clash.above else BROKEN


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
    verdict = judge_clash(clash)
    if verdict == INHERITED:
        parents = ", ".join(" ".join(name) for name in clash.above[:_MOST_PARENTS])
        more = f" and {len(clash.above) - _MOST_PARENTS} more" if len(clash.above) > _MOST_PARENTS else ""
        lines.append(
            f"  {INHERITED}: of {parents}{more} there are several sets of bytes as well; keep the same side of all:"
        )
    elif verdict == BROKEN:
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
