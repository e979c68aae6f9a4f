"""What the runs of a plan need of this machine, all of it looked at before the first."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from mixlab.config.problems import ConfigError, Problem
from mixlab.plan.build import Planned
from mixlab.plan.endpoints import require_endpoints
from mixlab.plan.engines import require_engines
from mixlab.plan.model_resources import ModelResources, require_launches
from mixlab.plan.trainers import require_trainers


def require_machine(
    planned: Planned, keys: Collection[str], root: Path, environment: Mapping[str, str], parameters: Mapping[str, int]
) -> list[str]:
    """Return warnings; raise ConfigError with every trainer, engine, endpoint and price that `keys` need and lack.

    So it is with what keeps trainings from beginning; `parameters` are of base models, by key.
    """
    problems: list[Problem] = []
    warnings: list[str] = []
    machine = planned.config.machine
    checks: tuple[Callable[[], None], ...] = (
        lambda: require_trainers(planned.plan, machine, keys),
        lambda: require_launches(ModelResources(machine, planned.plan, parameters), keys, root),
        lambda: require_engines(planned.plan, machine, keys, root),
        lambda: warnings.extend(require_endpoints(planned, keys, environment)),
    )
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return warnings
