"""Which artifacts a command is about: keys, stages or studies named on the command line."""

from collections.abc import Sequence

from mixlab.artifacts.states import Name, States
from mixlab.artifacts.store import Store
from mixlab.cli._common import list_every_study
from mixlab.config.problems import ConfigError, Problem, did_you_mean
from mixlab.plan.build import build_plan
from mixlab.plan.graph import Plan
from mixlab.plan.stages import STAGES

SHORTEST_PREFIX = 4
_HEX = frozenset("0123456789abcdef")


def plan_named(store: Store, what: Sequence[str]) -> Plan:
    """Plan the studies named in `what`, or those of config.yaml when it names none; sources are not looked at.

    Keys need no plan: when there are only keys, nothing is planned.
    """
    known = list_every_study(store.root)
    studies = [word for word in what if word in known and word not in STAGES]
    if what and not studies and all(is_key(word) for word in what):
        return Plan()
    return build_plan(store.root, studies, check_files=False).plan


def select_names(plan: Plan, states: States, what: Sequence[str]) -> list[Name]:
    """List the artifacts that `what` names: all of the plan, of a stage, of a study, or those with a key.

    A key may be shortened to its first digits and may belong to no study: then it is looked for on this machine.
    Raises ConfigError naming every word that means nothing, or too much.
    """
    chosen: dict[Name, None] = {}
    problems: list[Problem] = []
    known = sorted({node.name for node in plan.nodes.values()} | states.complete | states.tracked | states.discarded)
    for word in what or tuple(plan.targets):
        if word in STAGES:
            found = [node.name for node in plan.by_stage(word)]
        elif word in plan.targets:
            keys = plan.closure(plan.targets[word])
            found = [node.name for node in plan.nodes.values() if node.key in keys]
        else:
            found = _find_key(word, known, problems)
        chosen.update(dict.fromkeys(found))
    if problems:
        raise ConfigError(problems)
    return list(chosen)


def _find_key(word: str, known: Sequence[Name], problems: list[Problem]) -> list[Name]:
    found = [name for name in known if name[1].startswith(word)] if is_key(word) else []
    if len(found) > 1:
        problems.append(Problem(f"'{word}' may be any of {len(found)} artifacts; write more digits"))
    elif not found:
        hint = did_you_mean(word, [*STAGES, *(key for _, key in known)])
        problems.append(Problem(f"'{word}' is no stage, no study and no key known here{hint}"))
    return found


def is_key(word: str) -> bool:
    """Whether a word may be a key or its first digits."""
    return len(word) >= SHORTEST_PREFIX and set(word) <= _HEX


def describe_names(names: Sequence[Name]) -> list[dict[str, str]]:
    """Describe artifacts for JSON."""
    return [{"stage": stage, "key": key} for stage, key in names]


def count_stages(names: Sequence[Name]) -> str:
    """Render `2 ipt, 4 sft` in the order of the stages."""
    counts = {stage: sum(name[0] == stage for name in names) for stage in STAGES}
    return ", ".join(f"{count} {stage}" for stage, count in counts.items() if count)
