"""A rank whose work is done ends at once and well, whatever threads libraries left behind."""

import subprocess
import sys

PROGRAM = """
import atexit, logging, os, threading, time
from mixlab.training.process import leave
logging.basicConfig(format="%(message)s", level=logging.INFO)
# what torch's own end may do
atexit.register(os.abort)
threading.Thread(target=time.sleep, args=(100,)).start()
print("written", end="")
logging.info("told")
leave()
"""


def test_a_finished_rank_is_not_ended_by_what_libraries_do_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (0, "written", "told")
