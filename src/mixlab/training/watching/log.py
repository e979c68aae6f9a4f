"""The training log: one row a step, the same bytes however often the run was interrupted."""

from pathlib import Path

LOG_FILE = "training_log.csv"
_HEADER = "step,tokens,loss,learning_rate"


class TrainingLog:
    """Rows of step, tokens seen so far, loss of the step (empty when it had no target or was skipped), rate."""

    def __init__(self) -> None:
        self.tokens = 0
        self.empty_steps = 0
        self._rows: list[str] = []

    def add(self, step: int, tokens: int, loss: float | None, learning_rate: float) -> None:
        """Append one step, in which `tokens` were seen."""
        self.tokens += tokens
        self.empty_steps += loss is None
        self._rows.append(f"{step},{self.tokens},{'' if loss is None else repr(loss)},{learning_rate!r}")

    def add_skipped(self, step: int, learning_rate: float) -> None:
        """Append a step whose windows were left out: no tokens, no loss."""
        self._rows.append(f"{step},{self.tokens},,{learning_rate!r}")

    def losses(self) -> list[tuple[int, float | None]]:
        """Step and loss of every row."""
        cells = [row.split(",") for row in self._rows]
        return [(int(step), float(loss) if loss else None) for step, _, loss, _ in cells]

    def write(self, path: Path) -> None:
        """Write header and rows."""
        path.write_text("\n".join([_HEADER, *self._rows]) + "\n", encoding="utf-8")

    def read(self, path: Path) -> None:
        """Take over the rows that `write` wrote."""
        self._rows = path.read_text(encoding="utf-8").splitlines()[1:]
        cells = [row.split(",") for row in self._rows]
        self.tokens = int(cells[-1][1]) if cells else 0
        seen = [0, *(int(tokens) for _, tokens, _, _ in cells)]
        # A step that was skipped saw no tokens; it is not one whose tokens there was nothing to learn in.
        self.empty_steps = sum(not row[2] and int(row[1]) > before for row, before in zip(cells, seen, strict=False))
