"""One canary: an artifact made again and compared with the one in the store, and the record of it."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from mixlab.artifacts.code import CodeHistory, read_code
from mixlab.artifacts.comparing import find_difference
from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.keys import build_digest, canonical_json, split_reference
from mixlab.artifacts.manifest import check_files, read_manifest
from mixlab.artifacts.provenance import read_provenance
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store, write_json
from mixlab.config.canary import CanaryBand
from mixlab.config.resources import TRAINED
from mixlab.plan.drift import list_conditions, read_makings
from mixlab.plan.graph import Node, Plan
from mixlab.plan.stages import STAGES
from mixlab.stages.rerunning import RerunError, clear, link_inputs, list_scores, rerun

CANARIES = "canaries"
"""Folder of the records, `canaries/<stage>/<key>/<own-digest>.json`, committed to git: a team tests together."""

_ALIKE = "on one process of a CPU, with the same settings, libraries and host, training gives the same bytes"
_STARTS = ("base_model", "model")
"""Roles of the model that a training begins with."""

Verdict = Literal["equal", "within", "failed", "refused"]
"""Same bytes; other bytes within the band; out of it; could not be made here."""


@dataclass(frozen=True)
class Outcome:
    """What came of one canary. `measures`: what was measured where bytes differ; `unlike`: how this making differed."""

    node: Node
    verdict: Verdict
    told: str
    seconds: float
    measures: Mapping[str, float] = field(default_factory=dict)
    unlike: Mapping[str, str] = field(default_factory=dict)
    kept: Path | None = None


@dataclass(frozen=True)
class Laboratory:
    """Where canaries are made: the store they are compared with, the plan, and a folder that is theirs alone."""

    store: Store
    plan: Plan
    plan_file: Path
    folder: Path
    finished: frozenset[Name]
    band: CanaryBand

    def test(self, node: Node) -> Outcome:
        """Make an artifact again and compare it; what failed is kept for people to look at, all else is removed."""
        started = time.monotonic()
        place = self.folder / node.stage / node.key
        keeps = False
        try:
            self._require_whole(node)
            link_inputs(self.store, self.plan, node, place)
            made = rerun(self.store.root, self.plan_file, place, node)
            verdict, told, measures = self._compare(node, made, place)
            unlike = self._find_unlike(node, place)
            keeps = verdict == "failed"
        except RerunError as error:
            verdict, told, measures, unlike = ("refused" if error.is_refused else "failed"), str(error), {}, {}
            keeps = not error.is_refused
        finally:
            if not keeps:
                clear(place)
        seconds = time.monotonic() - started
        return Outcome(node, verdict, told, seconds, measures, unlike, place if keeps else None)

    def _require_whole(self, node: Node) -> None:
        """Raise RerunError for an artifact that was damaged after it was made: that says nothing of how it was made."""
        folder = self.store.folder(*node.name)
        try:
            wrong = check_files(folder, read_manifest(folder))
        except ArtifactError as error:
            wrong = [str(error)]
        if wrong:
            raise RerunError(f"{wrong[0]}; `mixlab verify --repair {node.key}` mends it", is_refused=True)

    def _compare(self, node: Node, made: Path, place: Path) -> tuple[Verdict, str, dict[str, float]]:
        there = self.store.folder(*node.name)
        difference = find_difference(there, made)
        if not difference:
            return "equal", "the same bytes", {}
        if STAGES[node.stage].reproducible == "bytes":
            return "failed", difference, {}
        if self._is_alike(node, place):
            return "failed", f"{difference}; {_ALIKE}", {}
        measures, limits = self._measure(node, there, made, place)
        wrong = [name for name, value in measures.items() if not _holds(name, value, limits[name])]
        return ("failed" if wrong else "within"), _render(measures, limits), measures

    def _measure(self, node: Node, old: Path, new: Path, place: Path) -> tuple[dict[str, float], dict[str, float]]:
        """Measure how far apart two makings lie, and by which limits of the band that is judged."""
        limits = self.band.model_dump()
        if node.stage in TRAINED:
            # numpy and the readers of tensors take a moment to import, and nothing else needs them
            from mixlab.training.likeness import compare_runs

            return asdict(compare_runs(old, new, self._find_start(node))), limits
        if node.stage == "generate":
            responses = _share_equal(old / "responses.jsonl", new / "responses.jsonl", "responses")
            scores = [self._score(one, place) for one in list_scores(self.plan, node, self.finished)]
            return {"equal_responses": responses, **({"score": max(scores)} if scores else {})}, limits
        return {"equal_verdicts": _share_equal(old / "comparisons.jsonl", new / "comparisons.jsonl", None)}, limits

    def _find_start(self, node: Node) -> Path | None:
        """The model that a training began with; None for one from scratch."""
        for role in _STARTS:
            for key, member in map(split_reference, node.parents.get(role, ())):
                return self.store.folder(*self.plan.nodes[key].name) / member
        return None

    def _is_alike(self, node: Node, place: Path) -> bool:
        """Whether a training was made both times by one process on a CPU of one machine, set and equipped alike."""
        makings = read_makings(self.store, node.name)[-1:] + read_provenance(Store(place), *node.name)[-1:]
        if node.stage not in TRAINED or len(makings) < 2 or any("kernels" not in one["machine"] for one in makings):
            return False
        old, new = ({**list_conditions(one), "host": one.get("host"), **one["machine"]} for one in makings)
        return old == new and (old.get("device"), old.get("ranks")) == ("cpu", "1")

    def _score(self, node: Node, place: Path) -> float:
        """Score the responses of a canary; return how far the mean lies from that of the responses in the store."""
        link_inputs(self.store, self.plan, node, place)
        made = rerun(self.store.root, self.plan_file, place, node)
        old, new = (_read_lines(folder / "scores.jsonl") for folder in (self.store.folder(*node.name), made))
        return abs(_mean(old) - _mean(new))

    def _find_unlike(self, node: Node, place: Path) -> dict[str, str]:
        """Say in which code and conditions this making differs from the one that is in the store."""
        makings = read_makings(self.store, node.name)[-1:]
        now = [list_conditions(record) for record in read_provenance(Store(place), *node.name)[-1:]]
        if not makings or not now:
            return {}
        before = list_conditions(makings[0])
        pairs = {
            name: (before.get(name, "unknown"), now[0].get(name, "unknown")) for name in sorted({*before, *now[0]})
        }
        unlike = {name: f"{was} -> {is_now}" for name, (was, is_now) in pairs.items() if was != is_now}
        code = read_code(self.store, str(makings[0].get("code_digest")))
        changed = CodeHistory().list_changed(code or {}, [str(makings[0].get("commit", ""))])
        return unlike | ({"code": f"changed since: {', '.join(changed)}"} if changed else {})

    def write_record(self, outcome: Outcome, commit: str) -> Path:
        """Keep what came of a canary."""
        node = outcome.node
        record = {
            "stage": node.stage,
            "key": node.key,
            "label": node.label,
            "verdict": outcome.verdict,
            "told": outcome.told,
            "measures": {name: round(value, 9) for name, value in outcome.measures.items() if value < float("inf")},
            "band": self.band.model_dump(),
            "unlike": dict(outcome.unlike),
            "commit": commit,
            "seconds": round(outcome.seconds, 3),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        name = build_digest(canonical_json(record).encode())[:16]
        path = self.store.root / CANARIES / node.stage / node.key / f"{name}.json"
        write_json(path, record)
        return path


def count_tested(store: Store) -> dict[Name, int]:
    """Count how often each artifact was compared, by the records that are here."""
    counts: dict[Name, int] = {}
    for path in sorted((store.root / CANARIES).glob("*/*/*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # a record that was cut off says nothing, and the artifact is tested once more
        if record.get("verdict") != "refused":
            name = path.parts[-3], path.parts[-2]
            counts[name] = counts.get(name, 0) + 1
    return counts


def _holds(name: str, value: float, limit: float) -> bool:
    return value >= limit if name.startswith("equal_") else value <= limit


def _render(measures: Mapping[str, float], limits: Mapping[str, float]) -> str:
    told = []
    for name, value in measures.items():
        sign = ">=" if name.startswith("equal_") else "<="
        is_in = "" if _holds(name, value, limits[name]) else ", out of it"
        told.append(f"{name} {value:.2g} (band {sign} {limits[name]:g}{is_in})")
    return "; ".join(told)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    # a line ends with a line feed alone: an answer may hold U+2028, at which splitlines() would cut it
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]


def _share_equal(old: Path, new: Path, key: str | None) -> float:
    """The share of lines, or of the entries of one list in them, that are the same in both files."""
    pairs = [list(_list_entries(_read_lines(path), key)) for path in (old, new)]
    most = max(map(len, pairs))
    return sum(was == now for was, now in zip(*pairs, strict=False)) / most if most else 1.0


def _list_entries(rows: Iterable[dict[str, Any]], key: str | None) -> Iterable[Any]:
    for row in rows:
        yield from ((row["item"], entry) for entry in row[key]) if key else (row,)


def _mean(rows: list[dict[str, Any]]) -> float:
    scores = [float(row["score"]) for row in rows]
    return sum(scores) / len(scores) if scores else 0.0
