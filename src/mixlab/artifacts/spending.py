"""What making artifacts took, as their provenance says: seconds of jobs, and of the GPUs that they held."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mixlab.artifacts.elapsed import Elapsed, elapsed_path, read_elapsed
from mixlab.artifacts.records import Record, read_records
from mixlab.artifacts.states import Name
from mixlab.artifacts.store import Store


@dataclass(frozen=True)
class Spent:
    """Sums over all attempts, and what each artifact took when it was made last, where that is known.

    Of a run that went on from a state, provenance of the past has the seconds of the last process alone.
    """

    seconds: float = 0.0
    gpu_seconds: float = 0.0
    process_seconds: float = 0.0
    newest_seconds: tuple[float, ...] = ()


@dataclass
class Ledger:
    """Reads the provenance of artifacts, each once: what is made stays as it was made."""

    store: Store
    _known: dict[Name, tuple[Record, ...]] = field(default_factory=dict)

    def add_up(self, names: Iterable[Name], tried: Iterable[Name] = ()) -> Spent:
        """Sum up all runs that made `names`, and attempts at `tried`; what nobody noted adds nothing."""
        lists = [runs for name in names if (runs := self._read(name))]
        every = [run for runs in lists for run in runs]
        attempts: list[Elapsed] = [one for name in tried for one in read_elapsed(elapsed_path(self.store, name))]
        return Spent(
            sum(run.spent_seconds for run in every) + sum(one.seconds for one in attempts),
            sum(run.gpu_seconds for run in every) + sum(one.seconds * one.gpus for one in attempts),
            sum(run.process_seconds for run in every) + sum(one.seconds * one.processes for one in attempts),
            tuple(runs[-1].making_seconds for runs in lists if not runs[-1].is_partial),
        )

    def _read(self, name: Name) -> tuple[Record, ...]:
        """Read the records of an artifact; one that is damaged is left out (`mixlab explain KEY` tells)."""
        if name not in self._known:
            records, _ = read_records(str(self.store.root), name)
            self._known[name] = tuple(one for one in records if not one.is_adopted)
        return self._known[name]
