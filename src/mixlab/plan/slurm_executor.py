"""What Snakemake's executor for Slurm makes of states and failed nodes, mended in the process that submits.

Seen with snakemake-executor-plugin-slurm 2.8.0: a run waited for ever for a job that somebody had cancelled, since
sacct says `CANCELLED by 1000` and only `CANCELLED` is known. And after a node had failed, whatever the run submitted
later kept away (`--exclude`) from all nodes of the job, of several as well, until none was left; and, as the job waited
to be started again, from `None assigned`, at which sbatch fails. Of jobs that are submitted together Snakemake's own
message leaves out why they failed, or were refused; and where they could not be handed to sbatch at all, as with a full
disk below logs/ or an option in `slurm_extra` that the plugin forbids, the run waited for ever.
"""

import sys
from typing import Any


class ExcludedNodes(set[str]):
    """The nodes that the user excludes, and no others: which of them may be used is for Slurm to say."""

    def add(self, nodes: str) -> None:
        """Take up no node for having failed once."""


def mend_executor(executor: Any) -> None:
    """Let an executor of the plugin know states by their first word, and exclude only the nodes that the user names.

    It also says why a group failed, and fails one that it cannot submit.
    """
    module: Any = sys.modules[type(executor).__module__]
    ask = module.query_job_status

    async def ask_states(command: str, logger: Any) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await ask(command, logger)
        if states is not None:
            states = {job: state.partition(" ")[0] for job, state in states.items()}
        return states, seconds

    module.query_job_status = ask_states
    executor._failed_nodes = ExcludedNodes(executor._failed_nodes)
    tell = executor.print_job_error

    def tell_why(submitted: Any, msg: str | None = None, **more: Any) -> None:
        if msg and submitted.job.is_group():
            executor.logger.error(f"Group {submitted.job.groupid}: {msg}")
        tell(submitted, msg, **more)

    executor.print_job_error = tell_why
    submit = executor.run_job

    def submit_or_fail(job: Any) -> None:
        try:
            submit(job)
        except Exception as error:  # of the plugin's own handler, which takes a group for a job of one rule
            told = f"Job submission failed with exception: {error.__context__ or error}. "
            executor._report_job_error_threadsafe(module.SubmittedJobInfo(job), told)
            raise

    executor.run_job = submit_or_fail
