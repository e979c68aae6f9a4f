"""What a host is given: verified folders of its parents and reads, where to resume, and the machine's settings."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.config.machine import MachineSettings
from mixlab.config.problems import DataError
from mixlab.plan.graph import Node, Plan
from mixlab.plan.specs import Spec


@dataclass
class Session:
    """What one process keeps for all the artifacts it makes, such as an engine with its model."""

    kept: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def once(self, name: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return what `make` made the first time `name` was asked for."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def only(self, kind: str, name: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """As `once`, for what takes the machine for itself: what was made under another name is closed first."""
        for other in [one for one in self.kept if one[0] == kind and one != (kind, *name)]:
            self.kept.pop(other).close()
        return self.once((kind, *name), make)


@dataclass(frozen=True)
class Inputs:
    """Inputs of one artifact by role, parents and reads alike, in the order the spec gives meaning to.

    `facts_of` tells what the hosts of a node said of each run that made it, as its provenance here records. `metrics`
    is the folder where a run says what it measures of itself while it goes on: it outlives the run and is no part of
    the artifact; None: nowhere.
    """

    plan: Plan
    node: Node
    folders: Mapping[str, tuple[Path, ...]]
    specs: Mapping[str, tuple[Spec, ...]]
    resume: Path
    files: Mapping[str, str]
    machine: MachineSettings
    threads: int
    session: Session
    facts_of: Callable[[Node], Sequence[Mapping[str, str]]] = lambda node: ()
    metrics: Path | None = None

    def all(self, role: str) -> tuple[Path, ...]:
        """Folders of a role."""
        return self.folders[role]

    def one(self, role: str) -> Path:
        """The folder of a role that has one."""
        (folder,) = self.folders[role]
        return folder

    def spec(self, role: str) -> Spec:
        """The spec behind the folder of a role that has one."""
        (spec,) = self.specs[role]
        return spec

    def located(self, digests: Iterable[str]) -> list[tuple[str, Path]]:
        """Pair the digests of source files with their paths here.

        Raises DataError when this machine's settings do not say where a file is.
        """
        found = []
        for digest in digests:
            if digest not in self.files:
                raise DataError(
                    f"{self.node.label}: no data root holds the file with digest {digest}; run `mixlab lock`"
                )
            found.append((digest, Path(self.files[digest])))
        return found

    def scratch(self) -> Path:
        """An empty folder for what only this attempt needs; it is never part of the artifact."""
        folder = self.resume / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder
