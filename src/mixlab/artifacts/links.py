"""Keep DVC from deleting: a plain `dvc pull` removes what it once linked and the current branch has no pointer for.

DVC notes such links in a small database per working folder. It is emptied here without importing DVC (0.2 s), so that
it can be done whenever the workflow is read. The place is that of dvc 3.67; a test compares it with DVC's own.
"""

import getpass
import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from mixlab.artifacts.errors import ArtifactError

_VERSION = 3
_SALT = 0
_PLACE = "/var/tmp/dvc"


def find_links(root: Path) -> Path | None:
    """Find the database of DVC's links for a working folder; None before DVC was used in it."""
    try:
        born = (root / ".dvc" / "tmp" / "btime").stat().st_mtime
    except FileNotFoundError:
        return None
    identity = (str(root.absolute()), None, born, getpass.getuser(), _VERSION, _SALT)
    token = hashlib.md5(str(identity).encode(), usedforsecurity=False).hexdigest()
    place = os.environ.get("DVC_SITE_CACHE_DIR", _PLACE)
    path = Path(place) / "repo" / token / "links" / "cache.db"
    return path if path.is_file() else None


def clear_links(root: Path) -> None:
    """Forget every link, so that a plain `dvc pull` or `dvc checkout` deletes no artifact of another branch.

    Raises ArtifactError where the database cannot be written. One without its table, as a kill leaves it, has no links.
    """
    path = find_links(root)
    if path is None:
        return
    try:
        with closing(sqlite3.connect(path, timeout=60)) as database, database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'Cache'").fetchone():
                database.execute("DELETE FROM Cache")
    except sqlite3.Error as error:
        say = "DVC's note of links cannot be emptied, and a plain `dvc pull` may delete what it names"
        raise ArtifactError(f"{path}: {error}: {say}; free space, or remove {path.parent}") from error
