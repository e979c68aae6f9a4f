"""What a run's metrics tell, in one look: how far it is, how fast, and what happened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixlab.training.watching.metrics import Row, read_metrics


@dataclass(frozen=True)
class History:
    """One run as its metrics file tells it; `rows` are those that count."""

    stage: str
    key: str
    rows: tuple[Row, ...]

    @property
    def starts(self) -> list[Row]:
        """A row for each process that worked on it."""
        return [row for row in self.rows if row["event"] == "start"]

    @property
    def steps(self) -> list[Row]:
        """A row a step, in order."""
        return [row for row in self.rows if row["event"] == "step"]

    @property
    def label(self) -> str:
        """What people call the run."""
        return str(self.starts[-1]["label"]) if self.starts else ""

    @property
    def state(self) -> str:
        """`ended`, `not finite` (stopped by its loss), or `open`: under way, or killed since its last line."""
        last = self.rows[-1]["event"] if self.rows else ""
        return {"end": "ended", "not_finite": "not finite"}.get(last, "open")

    @property
    def last_time(self) -> float:
        """Seconds since 1970 of the last line."""
        return float(self.rows[-1]["time"]) if self.rows else 0.0

    def losses(self) -> list[tuple[int, float]]:
        """Step and training loss, of steps that have one."""
        return [(row["step"], row["loss"]) for row in self.steps if isinstance(row["loss"], float)]

    def validation(self) -> dict[str, list[tuple[int, float]]]:
        """Step and loss on held-out windows, by language and category."""
        cells: dict[str, list[tuple[int, float]]] = {}
        for row in self.rows:
            if row["event"] == "validation":
                for cell, loss in row["losses"].items():
                    cells.setdefault(cell, []).append((row["step"], loss))
        return cells

    def describe(self) -> dict[str, Any]:
        """The run in a few words and numbers; None where it has no step or no such number yet."""
        last = self.steps[-1] if self.steps else {}
        return {
            "stage": self.stage,
            "key": self.key,
            "label": self.label,
            "state": self.state,
            "step": last.get("step"),
            "steps": self.starts[-1]["steps"] if self.starts else None,
            "loss": last.get("loss"),
            "tokens_per_second": last.get("tokens_per_second"),
            "mfu": last.get("mfu"),
            "starts": len(self.starts),
            "spikes": sum(row["event"] in ("spike", "rollback") for row in self.rows),
            "last_time": self.last_time,
        }


def read_histories(metrics: Path) -> list[History]:
    """Read every run below metrics/, the one that was heard of last at the end.

    Raises DataError for a file that is something else.
    """
    found = [History(path.parent.name, path.stem, tuple(read_metrics(path))) for path in metrics.glob("*/*.jsonl")]
    return sorted(found, key=lambda one: (one.last_time, one.stage, one.key))
