"""What the endpoints that a plan asks need of this machine, looked at before any job.

Else days of training would end in a misspelt name. Only what is still to be asked counts: a study whose answers are all
there needs no endpoint.
"""

from collections.abc import Iterable, Iterator, Mapping

from mixlab.config.endpoints import EndpointSettings
from mixlab.config.engines import OpenaiEngineSettings
from mixlab.config.judging import AskedJudgeSettings
from mixlab.config.labelling import OpenaiLabelEngine
from mixlab.config.loading import problem_at, sort_problems
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.plan.build import Planned
from mixlab.plan.checks_endpoints import check_endpoints, list_endpoints
from mixlab.plan.graph import Node, find_study
from mixlab.plan.specs import GenerateSpec, LabelSpec, Spec


def require_endpoints(planned: Planned, keys: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return a warning for each endpoint that the runs of `keys` ask and whose key is not in `environment`.

    That is no error here: a login node need not have the keys that compute nodes have, and the job asks again. Raises
    ConfigError with every endpoint that `config.yaml` does not name, every judge without a price under a cap, and,
    whatever runs, every model that the studies name two endpoints for.
    """
    asking: dict[str, Node] = {}
    nodes = [planned.plan.nodes[key] for key in keys]
    for node in nodes:
        if (place := find_place(node.spec)) is not None:
            asking.setdefault(place, node)
    problems = [*check_endpoints(planned.reads), *_find_unknown(planned, asking), *_find_unpriced(planned, nodes)]
    if problems:
        raise ConfigError(sort_problems(problems))
    return list(_list_silent(planned, asking, environment))


def find_place(spec: Spec) -> str | None:
    """Return the place of the endpoint that a run asks, in the plan file's table of places; None where it asks none."""
    judge = find_judge(spec)
    if judge is not None:
        return judge.place
    if isinstance(spec, GenerateSpec) and isinstance(spec.engine, OpenaiEngineSettings):
        return spec.engine.place
    if isinstance(spec, LabelSpec) and isinstance(spec.label.engine, OpenaiLabelEngine):
        return spec.label.place
    return None


def find_judge(spec: Spec) -> AskedJudgeSettings | None:
    """Return the model that a run has as its judge, of answers or of pairs; None where there is none, or a rule."""
    judge = getattr(spec, "judge", None)
    return judge if isinstance(judge, AskedJudgeSettings) else None


def _find_unknown(planned: Planned, asking: Mapping[str, Node]) -> Iterator[Problem]:
    known = planned.config.machine.endpoints
    for read in planned.reads.values():
        for one in list_endpoints(read.study):
            if one.place in asking and one.endpoint not in known:
                hint = did_you_mean(one.endpoint, known)
                message = f"machine.endpoints of config.yaml has no '{one.endpoint}'{hint}; add it there"
                yield problem_at(read.document, one.path, f"{message}; needed by '{asking[one.place].label}'")


def _find_unpriced(planned: Planned, nodes: Iterable[Node]) -> Iterator[Problem]:
    """Yield a problem for each cap in money under which a model without a price would be asked."""
    judging = planned.config.machine.judging
    found: dict[tuple[str, str], Node] = {}
    for node in nodes:
        judge = find_judge(node.spec)
        if judge is not None:
            found.setdefault((find_study(node.labels, planned.plan.targets), judge.model), node)
    for (study, model), node in found.items():
        if judging.budget_of(study).max_cost is not None and judging.price_of(model) is None:
            cap = ("budgets", study) if study in judging.budgets else ("budget",)
            message = f"{judging.explain_unpriced(model)}; needed by '{node.label}'"
            yield problem_at(planned.document, ("machine", "judging", *cap, "max_cost"), message)


def _list_silent(planned: Planned, asking: Mapping[str, Node], environment: Mapping[str, str]) -> Iterator[str]:
    """Say of each endpoint that is asked and whose key is not here which variable holds it."""
    needed: dict[str, Node] = {}
    for place, node in asking.items():
        needed.setdefault(planned.files[place], node)
    for name, node in needed.items():
        endpoint: EndpointSettings = planned.config.machine.endpoints[name]
        if endpoint.api_key_env is not None and not environment.get(endpoint.api_key_env):
            yield (
                f"the environment variable {endpoint.api_key_env}, the key of endpoint '{name}', is not set here; it "
                f"must be where '{node.label}' runs"
            )
