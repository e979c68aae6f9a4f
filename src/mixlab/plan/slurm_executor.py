"""What Snakemake's executor for Slurm makes of states and failed nodes, mended in the process that submits.

Seen with snakemake-executor-plugin-slurm 2.8.0: a run waited for ever for a job that somebody had cancelled, since sacct
says `CANCELLED by 1000` and only `CANCELLED` is known. And after a node had failed, whatever the run submitted later kept
away (`--exclude`) from all nodes of the job, and, as it waited to be started again, from `None assigned`, at which sbatch
fails.
"""

import re
import sys
from typing import Any


class FailedNodes(set[str]):
    """The nodes that a run keeps away from; neither several, of which one failed, nor what is no node is taken up."""

    def add(self, nodes: str) -> None:
        """Take up a node, as Slurm names it."""
        if re.fullmatch(r"[\w.-]+", nodes):
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
