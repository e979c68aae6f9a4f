"""`mixlab check-benchmarks`: the proof that scorers are right, on the benchmarks' own reference solutions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from mixlab.cli._common import example, json_option, open_store, print_json, render_table, study_option
from mixlab.cli._lm_eval import compare_with_task
from mixlab.cli._workers import bound_workers
from mixlab.config.benchmarks import BenchmarkDeclaration, declared_benchmarks, load_declaration
from mixlab.config.machine import MachineSettings
from mixlab.config.origins import GeneratorOrigin
from mixlab.config.problems import ConfigError, DataError, Problem, did_you_mean
from mixlab.config.scorers import LmEvalScorerSettings, PythonTestsSettings
from mixlab.config.sources import FilesConfig, SourceConfig
from mixlab.config.studies import STUDIES, load_main_config, load_registry, load_study
from mixlab.data.records import Record
from mixlab.data.sources.generators import generate_records
from mixlab.data.sources.reading import read_records
from mixlab.evaluation.reference import ReferenceCheck, check_references
from mixlab.plan.sources_lock import locate_files, lock_source, read_lock

REGISTRY = Path(STUDIES) / "benchmarks" / "sources.yaml"
ITEMS = "_items"
"""Behind the name of a benchmark: its source in the registry."""
_HEADER = ("benchmark", "items", "references right", "unsolvable", "spoiled right", "holds")


@dataclass(frozen=True)
class Asked:
    """A benchmark to be checked, and where its items come from; `source` is the name people know that by."""

    name: str
    declaration: BenchmarkDeclaration
    source: str
    config: SourceConfig
    is_locked: bool


@click.command(epilog=example("mixlab check-benchmarks humaneval mbpp", "mixlab check-benchmarks --study real_small"))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@study_option
@click.option(
    "--against-lm-eval", "task", metavar="TASK", help="Compare answers with those a task of lm-eval extracts."
)
@click.option("--responses", type=click.Path(path_type=Path), help="Folder of an artifact of generate to compare on.")
@json_option
def command(
    names: Sequence[str], studies: Sequence[str], task: str | None, responses: Path | None, as_json: bool
) -> None:
    """Score each benchmark's own reference answers, which must pass, and a spoiled copy of each, which must fail.

    Without --study the benchmarks of studies/benchmarks/sources.yaml are checked, where their files are found below
    the data roots; with it those of the study, from the files that are locked. All items are taken, whatever the
    study's limit. Leaves with 1 when a scorer is wrong, and with 2 when nothing could be checked.

    As many programs run at a time as machine.sandbox_workers of config.yaml says, but no more than this process has
    processors, and than there is free memory for at the limit of one program, 512 MiB unless a benchmark declares
    another. Free is what the machine has available, or less where a cgroup (version 2) limits this process: its
    memory.max without its memory.current. Where a benchmark runs no programs, memory bounds nothing.

    With --against-lm-eval one benchmark of final numbers is compared, item by item, with each filter of a task that
    lm-eval brings, on --responses or on references and spoiled copies; what differs is listed.
    """
    root = open_store().root
    machine = load_main_config(root).machine
    asked = list(_list_studied(root, studies) if studies else _list_registered(root))
    chosen = _choose(asked, names)
    if task is not None:
        if len(chosen) != 1:
            raise ConfigError("--against-lm-eval compares one benchmark; name it, as gsm8k")
        compare_with_task(
            chosen[0].declaration, _read_items(chosen[0], machine, root), task, responses, as_json=as_json
        )
        return
    if responses is not None:
        raise ConfigError("--responses are compared with a task of lm-eval; name it by --against-lm-eval")
    checks: dict[str, ReferenceCheck] = {}
    missing: dict[str, str] = {}
    for one in chosen:
        try:
            items = _read_items(one, machine, root)
        except (ConfigError, DataError) as error:
            missing[one.name] = str(error)
            continue
        checks.update(_check(one, items, machine))
    if as_json:
        cards = {name: {**asdict(check), "holds": check.holds} for name, check in checks.items()}
        print_json({"checked": cards, "not_checked": missing})
    else:
        _print(checks, missing)
    if not checks:
        raise DataError([Problem(f"not checked: {why}", key=name) for name, why in missing.items()])
    if not all(check.holds for check in checks.values()):
        raise SystemExit(1)


def _list_studied(root: Path, studies: Sequence[str]) -> Iterator[Asked]:
    for study_name in studies:
        study, _ = load_study(root, study_name)
        for name, use in sorted(study.benchmarks.items()):
            declaration = use.declaration(name)
            if declaration.scoring is not None:
                yield Asked(name, declaration, use.data, study.sources[use.data], is_locked=True)


def _list_registered(root: Path) -> Iterator[Asked]:
    if not (root / REGISTRY).is_file():
        raise ConfigError(Problem("is not there; name a study with --study", str(REGISTRY)))
    registry, _ = load_registry(root / REGISTRY)
    for name in declared_benchmarks():
        declaration, source = load_declaration(name), name + ITEMS
        if declaration.scoring is not None and source in registry.sources:
            yield Asked(name, declaration, source, registry.sources[source], is_locked=False)


def _choose(asked: Sequence[Asked], names: Sequence[str]) -> list[Asked]:
    known = [one.name for one in asked]
    if strange := [name for name in names if name not in known]:
        told = f"(there are {', '.join(known)}; of a study's own with --study)"
        raise ConfigError([Problem(f"no scored benchmark '{one}'{did_you_mean(one, known)} {told}") for one in strange])
    if not known:
        raise ConfigError(Problem("the study has no benchmark that is scored"))
    return [one for one in asked if not names or one.name in names]


def _read_items(asked: Asked, machine: MachineSettings, root: Path) -> list[Record]:
    """Read all items; raises ConfigError or DataError where they are not on this machine."""
    origin, config = asked.config.origin, asked.config
    if isinstance(asked.declaration.scoring, LmEvalScorerSettings):
        raise DataError("a task of lm-eval names no response that must be right")
    if isinstance(origin, GeneratorOrigin):
        return list(generate_records("benchmark", origin))
    if not isinstance(origin, FilesConfig):
        raise DataError(f"source '{asked.source}' is the hub data set {origin.id}, not a file below a data root")
    if asked.is_locked:
        locked = read_lock(root).get(asked.source)
        if locked is None or not locked.is_of(origin):
            raise ConfigError(f"source '{asked.source}' is not locked as it is declared; run `mixlab lock`")
        if copies := locked.find_copies():
            raise ConfigError(f"source '{asked.source}': {copies[0]}; then run `mixlab lock {asked.source}`")
    else:
        locked = lock_source(asked.source, config, machine, root)
    settings = config.to_settings(locked.digests(), locked.digests(joined=True))
    files = [(digest, Path(path)) for digest, path in locate_files([locked], machine, root).items()]
    return list(read_records(settings, files, lambda exclusion: None))


def _check(asked: Asked, items: Sequence[Record], machine: MachineSettings) -> Iterator[tuple[str, ReferenceCheck]]:
    """Check a benchmark; where prompts make items unsolvable, with repaired prompts as well."""
    for name, declaration in ((asked.name, asked.declaration), (f"{asked.name}, repaired", _repair(asked.declaration))):
        if declaration is None:
            return
        with tqdm(total=len(items), desc=name, unit=" items", leave=False, disable=None) as bar:
            check = check_references(
                declaration,
                items,
                workers=_count_workers(declaration, machine),
                require=machine.sandbox_require,
                on_items=bar.update,
            )
        yield name, check
        if not check.unsolvable:
            return


def _count_workers(declaration: BenchmarkDeclaration, machine: MachineSettings) -> int:
    scoring = declaration.scoring
    memory_bytes = scoring.limits.memory_bytes if isinstance(scoring, PythonTestsSettings) else None
    return bound_workers(machine.sandbox_workers, memory_bytes)


def _repair(declaration: BenchmarkDeclaration) -> BenchmarkDeclaration | None:
    scoring = declaration.scoring
    is_code = isinstance(scoring, PythonTestsSettings) and scoring.form == "completion" and not scoring.repair_prompts
    return declaration.with_changes(repair_prompts=True) if is_code else None


def _print(checks: Mapping[str, ReferenceCheck], missing: Mapping[str, str]) -> None:
    if checks:
        click.echo(render_table(_HEADER, [_render(name, check) for name, check in checks.items()]))
    for name, check in checks.items():
        for item, reason in check.unsolvable.items():
            click.echo(f"{name} {item}: {reason}")
    for name, why in missing.items() if checks else ():
        click.echo(f"{name} was not checked: {why}")


def _render(name: str, check: ReferenceCheck) -> tuple[Any, ...]:
    numbers = (check.items, check.reference_right, len(check.unsolvable), len(check.spoiled_right))
    return (name, *map(str, numbers), "yes" if check.holds else "NO")
