"""A process of a crowd: tracks, restores or fetches its keys in batches, again and again where somebody killed it.

Arguments: `track`, `restore` or `fetch`, the number of artifacts in a batch, then the keys. Says `ready` once it is
about to begin, so that who kills it meets it at work.
"""

import sys

from mixlab.cli import main


def work(command: str, size: int, keys: list[str]) -> None:
    """Run one command of mixlab for each batch; leaves with its exit code when one fails."""
    more = ["--push"] if command == "track" else []
    import dvc.repo  # noqa: F401  the second that this takes is not what a kill should meet

    print("ready", flush=True)
    for start in range(0, len(keys), size):
        try:
            main([command, *keys[start : start + size], *more])
        except SystemExit as end:
            if end.code:
                raise


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
