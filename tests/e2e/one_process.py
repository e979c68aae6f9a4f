"""Make all that studies need in one process, in an order in which parents come first: no start of Python for each job.

Called as a program in a working folder: `python one_process.py STUDY…`. The jobs are those that Snakemake would start,
by the same way in (`doorway.make_artifact`); what it makes counts as finished for Snakemake.
"""

import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from mixlab.plan.graph import Plan
from mixlab.plan.planfile import read_plan
from mixlab.plan.workflow import open_workflow
from mixlab.stages.doorway import limit_threads, make_artifact
from mixlab.stages.job import Session


def list_levels(plan: Plan, keys: Iterable[str]) -> list[str]:
    """Sort keys by how many artifacts stand above them at most, then by stage and group."""
    levels: dict[str, int] = {}
    for key, node in plan.nodes.items():
        levels[key] = 1 + max((levels[above] for above in node.inputs()), default=0)
    return sorted(keys, key=lambda key: (levels[key], plan.nodes[key].stage, plan.nodes[key].group, key))


def main(studies: list[str]) -> None:
    flow = open_workflow(Path.cwd(), {"study": ",".join(studies)}, True, dict(os.environ))
    planned = read_plan(flow.plan_file)
    sessions: dict[str, Session] = {}
    order = list_levels(planned.plan, flow.demand.run)
    for done, key in enumerate(order, 1):
        node = planned.plan.nodes[key]
        limit_threads(planned, [node])
        host = importlib.import_module(f"mixlab.stages.{node.stage}")
        make_artifact(host.run, planned, node, flow.store, sessions.setdefault(node.stage, Session()))
        if done % 200 == 0 or done == len(order):
            print(f"{done} of {len(order)}, {node.stage}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
