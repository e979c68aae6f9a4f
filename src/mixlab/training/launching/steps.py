"""A step of a Slurm job: srun here, and on each node the process that srun starts.

What srun makes of signals was seen on Slurm 22.05: at SIGTERM it kills the step at once, SIGUSR1 it passes on.
"""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from mixlab.training.launching.processes import GRACE_SECONDS, Children, find_ending
from mixlab.training.process import ENDINGS

_SENT: Final = {
    signal.SIGTERM: signal.SIGUSR1,
    signal.SIGUSR1: signal.SIGUSR1,
    signal.SIGINT: signal.SIGTERM,
}
"""Signal that this process receives -> the one srun is sent: to save and end, or to end at once."""


class Step(Children):
    """The one srun of a job's step; what it started ends with it, and it with this process."""

    def run_step(self, nodes: int, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run `command` once on each of `nodes` nodes and return the highest exit code.

        It is the ending's, as in ENDINGS, where the step was asked to end and did. Raises DataError as `run` does.
        """
        srun = ["srun", "--nodes", str(nodes), "--ntasks", str(nodes), "--ntasks-per-node", "1", "--kill-on-bad-exit=0"]
        # a job sent with --export=NONE would start its steps without any variable; within a step of the user's own
        # this one would wait for that one's end; ranks share the node's cores, so no task is bound to one of them
        srun += ["--export=ALL", "--overlap", "--cpu-bind=none"]
        tied = [sys.executable, "-P", "-m", "mixlab.training.launching.parents", *srun]
        (code,) = self.run([*tied, *command], [environment])
        asked = [ENDINGS[signal.Signals(number)] for number in self.received if number in ENDINGS]
        return max(asked, default=code) if find_ending([code]) else code

    def send(self, child: subprocess.Popen[bytes], number: int) -> None:
        """Send srun the signal that means the same to it."""
        child.send_signal(_SENT[signal.Signals(number)])

    def end(self, child: subprocess.Popen[bytes]) -> None:
        """Let srun kill the step; of SIGKILL it would die alone, and its nodes train on."""
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            super().end(child)
