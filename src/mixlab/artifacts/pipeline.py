"""Write dvc.lock for a pipeline whose outputs are there already, as `dvc repro` would have left it."""

from collections.abc import Collection

from mixlab.artifacts.exclusion import hold_repository
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.store import Store

PIPELINE = "dvc.yaml"
LOCK = "dvc.lock"
_CONFLICT = "<<<<<<<"


def record_pipeline(store: Store, unfinished: Collection[str] = ()) -> bool:
    """Record the dependencies and outputs of dvc.yaml's stages in dvc.lock; False when an output is not there.

    Reads only small text files; unlike `dvc commit` it does not look at the pointers of artifacts. `unfinished`
    stages are struck out instead, so that `dvc repro` runs them. A dvc.lock that git could not merge is made anew.
    """
    lock = store.root / LOCK
    if lock.is_file() and _CONFLICT in lock.read_text(encoding="utf-8"):
        lock.unlink()
    with open_depot(store) as depot, hold_repository(depot.repo):
        stages = depot.repo.stage.load_all(str(store.root / PIPELINE))
        finished = [stage for stage in stages if stage.name not in unfinished]
        if not all(out.exists for stage in finished for out in stage.outs):
            return False
        for stage in stages:
            if stage.name in unfinished:
                stage.dvcfile._lockfile.remove_stage(stage)
        for stage in finished:
            stage.save(run_cache=False)
            stage.dump(update_pipeline=False)
    return True
