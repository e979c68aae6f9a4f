"""The endpoints that studies name, and what several of them cannot mean together."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mixlab.config.loading import problem_at
from mixlab.config.problems import Problem
from mixlab.config.studies import StudyFile
from mixlab.config.study import Study
from mixlab.config.wording import KeyPath


@dataclass(frozen=True)
class NamedEndpoint:
    """An endpoint as a study names it under the key `path`, for the model at `place` of the plan file's table.

    `who` is what people call the model; `has_revision`: another revision would make another model of it.
    """

    path: KeyPath
    endpoint: str
    place: str
    who: str
    has_revision: bool = True


def list_endpoints(study: Study) -> Iterator[NamedEndpoint]:
    """List what a study has asked behind endpoints: served models, labellers, the judge."""
    for name, served in study.served_models.items():
        yield NamedEndpoint(("served_models", name, "endpoint"), served.endpoint, served.to_engine().place, f"'{name}'")
    for name, labeller in study.labellers.items():
        if labeller.endpoint is not None:
            path = ("labellers", name, "endpoint")
            place = labeller.to_settings().place
            yield NamedEndpoint(path, labeller.endpoint, place, f"labeller '{name}'", has_revision=False)
    for place, endpoint in study.judge.locate().items():
        yield NamedEndpoint(("judge", "endpoint"), endpoint, place, "the judge")


def locate_endpoints(studies: Iterable[Study]) -> dict[str, str]:
    """Return the endpoint of each place; a place that is named with several has none, so that nothing asks a wrong one.

    Only what asks minds that, see `check_endpoints`: planning to look at artifacts goes on without.
    """
    named: dict[str, set[str]] = {}
    for study in studies:
        for one in list_endpoints(study):
            named.setdefault(one.place, set()).add(one.endpoint)
    return {place: endpoint for place, (endpoint, *others) in named.items() if not others}


def check_endpoints(reads: Mapping[str, StudyFile]) -> list[Problem]:
    """Return a problem for each model of studies planned together that equals another of another endpoint.

    Where a model is reached is in no key, so the two would share the answers of one endpoint. For what prepares jobs;
    who only looks at artifacts asks nobody.
    """
    first: dict[str, tuple[str, NamedEndpoint]] = {}
    problems = []
    for label, read in reads.items():
        for one in list_endpoints(read.study):
            study, other = first.setdefault(one.place, (label, one))
            if one.endpoint != other.endpoint:
                where = "" if study == label else f" of study '{study}'"
                cure = "set `revision` to tell them apart, or name one endpoint" if one.has_revision else "name one"
                message = (
                    f"is the same model, asked in the same manner, as {other.who}{where} at endpoint "
                    f"'{other.endpoint}', so both would be one; {cure}"
                )
                problems.append(problem_at(read.document, one.path, message))
    return problems
