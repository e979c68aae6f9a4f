"""Write dvc.lock for a pipeline whose outputs are there already, as `dvc repro` would have left it."""

from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.store import Store

PIPELINE = "dvc.yaml"


def record_pipeline(store: Store) -> bool:
    """Record the dependencies and outputs of every stage of dvc.yaml in dvc.lock; False when an output is not there.

    Reads only small text files; unlike `dvc commit` it does not look at the pointers of artifacts.
    """
    with open_depot(store) as depot:
        from dvc.repo import lock_repo

        with lock_repo(depot.repo):
            stages = depot.repo.stage.load_all(str(store.root / PIPELINE))
            if not all(out.exists for stage in stages for out in stage.outs):
                return False
            for stage in stages:
                stage.save(run_cache=False)
                stage.dump(update_pipeline=False)
    return True
