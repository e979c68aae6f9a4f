"""What Snakemake's executor for Slurm makes of states and failed nodes, mended in the process that submits.

Seen with snakemake-executor-plugin-slurm 2.8.0: a run waited for ever for a job that somebody had cancelled, since sacct
says `CANCELLED by 1000` and only `CANCELLED` is known; and where one node of a job of several failed, all of them were
left out (`--exclude`) by what the run submitted later, which Slurm refuses where too few others are left.
"""

import re
import sys
from typing import Any


class FailedNodes(set[str]):
    """The nodes that a run keeps away from; a list of several, of which one failed, is not taken up."""

    def add(self, nodes: str) -> None:
        """Take up a node, as Slurm names it."""
        if not re.search(r"[\[,]", nodes):
            super().add(nodes)


def mend_executor(executor: Any) -> None:
    """Let an executor of the plugin know each state by its first word, and keep away from single failed nodes alone."""
    module = sys.modules[type(executor).__module__]
    ask = module.query_job_status

    async def ask_states(command: str, logger: Any) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await ask(command, logger)
        if states is not None:
            states = {job: state.partition(" ")[0] for job, state in states.items()}
        return states, seconds

    module.query_job_status = ask_states
    executor._failed_nodes = FailedNodes(executor._failed_nodes)
