"""One rank of a training: `python -m mixlab.stages.rank JOB`, with torch.distributed's environment variables."""

import logging
import os
import sys
import warnings
from pathlib import Path

from mixlab.artifacts.code import list_code, watch_code
from mixlab.artifacts.store import write_json
from mixlab.config.problems import UserError
from mixlab.training.engines.engine import Place
from mixlab.training.launching.failures import write_failure
from mixlab.training.launching.job import CODE_FILE, read_job
from mixlab.training.launching.parents import PARENT_VARIABLE, die_with_parent
from mixlab.training.process import ignore_endings, leave

log = logging.getLogger(__name__)


def main(path: Path) -> None:
    """Run the job at `path` as the rank that the environment names; leaves with 2 for a user's mistake."""
    watch_code()
    if parent := os.environ.get(PARENT_VARIABLE):
        die_with_parent(int(parent))
    place = Place(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    level = logging.INFO if place.rank == 0 else logging.WARNING
    logging.basicConfig(format=f"%(asctime)s rank {place.rank} %(name)s: %(message)s", level=level)
    # DeepSpeed 0.19 and accelerate 1.15 use names that torch 2.13 has renamed, in every exchange.
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        read_job(path).run(place)
        if place.rank == 0:
            write_json(path.parent / CODE_FILE, list_code())
        ignore_endings()
    except UserError as error:
        log.error("%s", error)
        write_failure(path.parent, place.rank, error)
        sys.exit(2)
    except Exception as error:
        write_failure(path.parent, place.rank, error)
        raise


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except SystemExit as ended:
        leave(int(ended.code or 0))
    leave()
