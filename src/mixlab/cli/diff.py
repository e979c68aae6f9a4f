"""`mixlab diff`: what an edit would run and what it keeps, from two plans side by side."""

import io
import re
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import Any

import click

from mixlab.artifacts.states import read_states
from mixlab.cli._common import (
    describe_node,
    example,
    json_option,
    open_store,
    print_json,
    render_count,
    render_table,
    study_option,
)
from mixlab.config.problems import ConfigError, Problem
from mixlab.config.studies import CONFIG, STUDIES, list_every_study, load_main_config, load_study
from mixlab.plan.build import build_plan, split_names
from mixlab.plan.compare import Cause, Comparison, compare_plans, list_causes
from mixlab.plan.demand import build_demand
from mixlab.plan.graph import Plan
from mixlab.plan.sources_lock import LOCK
from mixlab.plan.stages import STAGES

_COLUMNS = ("kept", "new", "gone", "run")
_SHOWN = 3
_ALIKE = 0.5
"""Share of lines that two files of a study that was renamed have in common, at least; git's own."""


@dataclass(frozen=True)
class Difference:
    """Two plans, what they share, and which of the new one's artifacts would run now."""

    old: Plan
    new: Plan
    comparison: Comparison
    causes: list[Cause]
    run: tuple[str, ...]

    def counts(self) -> dict[str, Counter[str]]:
        """Count kept, new and gone artifacts by stage, and those of the new plan that would run."""
        counts: dict[str, Counter[str]] = {stage: Counter() for stage in STAGES}
        compared = self.comparison
        groups = (("kept", compared.kept), ("new", compared.new), ("gone", compared.gone), ("run", self.run))
        for name, keys in groups:
            for key in keys:
                node = self.new.nodes.get(key) or self.old.nodes[key]
                counts[node.stage][name] += 1
        return {stage: counter for stage, counter in counts.items() if counter}


@click.command(epilog=example("mixlab diff", "mixlab diff main . --study demo"))
@click.argument("old", default="HEAD")
@click.argument("new", default=".")
@study_option
@json_option
def command(old: str, new: str, studies: Sequence[str], as_json: bool) -> None:
    """Show what an edit would run and keep.

    OLD and NEW are git revisions or folders; `.` is the working folder. Both are planned with the specs of the
    current code, so that what differs is the configuration. Without --study: of each the studies that its config.yaml
    names. A study that one side lacks is compared with those of its config.yaml that the other lacks, or with the one
    most like it: it was renamed.
    """
    store = open_store()
    with open_side(store.root, old) as before, open_side(store.root, new) as after:
        for name in studies or split_names(after.main_study()):
            if not before.has(name) and not after.has(name):
                load_study(store.root, name)
        names = choose_studies(before, after, studies), choose_studies(after, before, studies)
        plans = before.plan(names[0]), after.plan(names[1])
    wanted = [key for keys in plans[1].targets.values() for key in keys]
    demand = build_demand(plans[1], read_states(store, STAGES), wanted)
    difference = Difference(*plans, compare_plans(*plans), list_causes(*plans), demand.run)
    if as_json:
        print_json(_describe(difference, old, new))
        return
    if names[0] != names[1]:
        click.echo(f"studies: {_render_names(names[0])} in {old}, {_render_names(names[1])} in {new}")
    _print(difference, old, new)


@dataclass(frozen=True)
class Side:
    """One of the two configurations: where its files lie, and what people call it."""

    name: str
    root: Path
    data_base: Path

    def has(self, name: str) -> bool:
        """Whether it has a study of this name."""
        return (self.root / STUDIES / f"{name}.yaml").is_file()

    def read(self, name: str) -> list[str]:
        """The lines of a study's file."""
        return (self.root / STUDIES / f"{name}.yaml").read_text(encoding="utf-8", errors="replace").splitlines()

    def main_study(self) -> str:
        """The studies that its config.yaml names."""
        with self._renamed():
            return load_main_config(self.root).study

    def plan(self, names: Sequence[str]) -> Plan:
        """Plan the named studies, leaving out those that this side does not have."""
        present = [name for name in names if self.has(name)]
        if not present:
            return Plan()
        with self._renamed():
            return build_plan(self.root, present, check_files=False, data_base=self.data_base).plan

    @contextmanager
    def _renamed(self) -> Iterator[None]:
        """Name files in problems as `HEAD:studies/demo.yaml`, not by the folder they were unpacked to."""
        try:
            yield
        except ConfigError as error:
            found = [
                replace(one, file=self._rename(one.file), message=self._rename(one.message)) for one in error.problems
            ]
            raise ConfigError(found) from None

    def _rename(self, text: str) -> str:
        return text.replace(f"{self.root}/", f"{self.name}:")


def choose_studies(side: Side, other: Side, named: Sequence[str]) -> list[str]:
    """Name the studies to plan of one side: the named ones, else those that its config.yaml names.

    Where it lacks a named one, also those of its config.yaml that the other side lacks, or else the one most like it: a
    study that was renamed.
    """
    present = [name for name in named if side.has(name)]
    if named and len(present) == len(named):
        return present
    own = [name for name in split_names(side.main_study()) if side.has(name)]
    chosen = [name for name in own if not named or not (name in present or other.has(name))]
    lacking = [name for name in named if name not in present]
    return [*present, *(chosen or find_renamed(side, other, lacking))]


def find_renamed(side: Side, other: Side, lacking: Sequence[str]) -> list[str]:
    """Find what the studies that a side lacks are called there: the likest that the other side lacks, if half of the
    lines of both are the same.
    """
    gone = [name for name in list_every_study(side.root) if not other.has(name)]
    found: dict[str, str] = {}
    for name in lacking:
        alike = {one: SequenceMatcher(None, side.read(one), other.read(name)).ratio() for one in gone}
        likest = max(alike, key=lambda one: alike[one], default="")
        if likest and alike[likest] >= _ALIKE and likest not in found:
            found[likest] = name
    return list(found)


def _render_names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


@contextmanager
def open_side(root: Path, name: str) -> Iterator[Side]:
    """Open a folder, or unpack the configuration of a git revision into a temporary one."""
    folder = root / name
    if (folder / CONFIG).is_file():
        yield Side(name, folder.resolve(), folder.resolve())
        return
    if _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") is None:
        raise ConfigError(Problem(f"'{name}' is neither a git revision nor a folder with {CONFIG}"))
    listed = (_git(root, "ls-tree", "-r", "-z", "--name-only", name) or b"").decode().split("\0")
    wanted = _choose_files(listed)
    if CONFIG not in wanted:
        raise ConfigError(Problem(f"'{name}' has no {CONFIG}"))
    archive = _git(root, "archive", "--format=tar", name, "--", *wanted) or b""
    with tempfile.TemporaryDirectory(prefix="mixlab-diff-") as temporary:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(temporary, filter="data")
        yield Side(name, Path(temporary).resolve(), root)


def _choose_files(listed: Sequence[str]) -> list[str]:
    """Choose of a revision's files what planning may read.

    A study may extend a file that lies elsewhere, so every YAML file comes along; it may name a file of judge prompts
    beside it, and a task file of lm-eval functions in Python files beside or below itself.
    """
    is_prompts = re.compile(rf"{STUDIES}/.*\.jsonl")
    described = [path for path in listed if path.endswith((".yaml", ".yml"))]
    folders = {PurePosixPath(path).parent for path in described}
    chosen = {*described, *(path for path in listed if path == LOCK or is_prompts.match(path))}
    for path in (PurePosixPath(one) for one in listed if one.endswith(".py")):
        # config.yaml lies in the root, whose Python files alone are beside it
        if path.parent in folders or not folders.isdisjoint(path.parents[:-1]):
            chosen.add(str(path))
    return [path for path in listed if path in chosen]


def is_changed(root: Path, revision: str) -> bool:
    """Whether the configuration of the working folder says other things than that of a revision."""
    return _git(root, "diff", "--quiet", revision, "--", CONFIG, STUDIES, LOCK) is None


def _git(root: Path, *arguments: str) -> bytes | None:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def render_cause(cause: Cause) -> str:
    """Render one cause: stage, label, how many share it, and what changed."""
    label = _shorten(cause.short, cause.stage)
    many = f" and {len(cause.keys) - 1} more" if len(cause.keys) > 1 else ""
    if not cause.relative:
        return f"{cause.stage} '{label}'{many}: nothing like it before"
    shown = "; ".join(str(change) for change in cause.changes[:_SHOWN])
    rest = f"; and {len(cause.changes) - _SHOWN} more changes" if len(cause.changes) > _SHOWN else ""
    near = "" if cause.relative == cause.label else f" (nearest: '{_shorten(cause.short_relative, cause.stage)}')"
    return f"{cause.stage} '{label}'{many}: {shown}{rest}{near}"


def _shorten(label: str, stage: str) -> str:
    """Leave out what a line says anyway: the stage."""
    return label.removesuffix(f"/{stage}")


def _print(difference: Difference, old: str, new: str) -> None:
    compared = difference.comparison
    if not compared.new and not compared.gone:
        click.echo(f"{old} and {new} ask for the same {render_count(len(compared.kept), 'artifact')}.")
    else:
        rows = [[stage, *(one[name] for name in _COLUMNS)] for stage, one in difference.counts().items()]
        total = sum(difference.counts().values(), Counter[str]())
        click.echo(render_table(("stage", *_COLUMNS), [*rows, ["total", *(total[name] for name in _COLUMNS)]]))
        for cause in difference.causes:
            click.echo(render_cause(cause))
    running = len(set(difference.run) & set(compared.new))
    kept = len(difference.run) - running
    rest = f", and {render_count(kept, 'kept one')} not made yet" if kept else ""
    click.echo(f"{render_count(running, 'new artifact')} would run{rest}.")


def _describe(difference: Difference, old: str, new: str) -> dict[str, Any]:
    compared = difference.comparison
    counts = difference.counts()
    return {
        "old": old,
        "new": new,
        "studies": list(difference.new.targets),
        "old_studies": list(difference.old.targets),
        "stages": [{"stage": stage} | {name: one[name] for name in _COLUMNS} for stage, one in counts.items()],
        "kept": [describe_node(difference.new.nodes[key]) for key in compared.kept],
        "added": [describe_node(difference.new.nodes[key]) for key in compared.new],
        "gone": [describe_node(difference.old.nodes[key]) for key in compared.gone],
        "run": [describe_node(difference.new.nodes[key]) for key in difference.run],
        "causes": [
            {
                "stage": cause.stage,
                "keys": cause.keys,
                "label": cause.label,
                "relative": cause.relative,
                "changes": [vars(change) for change in cause.changes],
            }
            for cause in difference.causes
        ],
    }
