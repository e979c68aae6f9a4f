"""Which files below a data root a pattern of a source names."""

import json
from pathlib import Path, PurePosixPath

from mixlab.config.origins import check_below_root

_SAVED_STATE = "state.json"


def find_files(base: Path, pattern: str) -> list[Path]:
    """Find what a pattern names.

    Raises ValueError for what is no pattern or names folders alone, and for a saved folder without its files.
    """
    try:
        # the root itself may be a saved folder, and is no pattern to glob
        matching = [base] if PurePosixPath(pattern) == PurePosixPath() else sorted(base.glob(pattern))
    except (NotImplementedError, ValueError) as error:
        raise ValueError(f"is no pattern below a data root ({error})") from None
    found: list[Path] = []
    for path in matching:
        if path.is_file():
            found.append(path)
        elif (path / _SAVED_STATE).is_file():
            found += _saved_files(path)
        elif (path / "dataset_dict.json").is_file():
            raise ValueError(f"{path} holds several splits; name one, such as {pattern}/train")
    if not found and any(path.is_dir() for path in matching):
        raise ValueError(f"names a folder, not files; name those in it, such as '{PurePosixPath(pattern) / '*'}'")
    return found


def _saved_files(folder: Path) -> list[Path]:
    """The Arrow files of a folder that `datasets` saved."""
    try:
        files = json.loads((folder / _SAVED_STATE).read_text(encoding="utf-8"))["_data_files"]
        return [folder / check_below_root(file["filename"]) for file in files]
    except (ValueError, KeyError, TypeError, OSError):
        raise ValueError(f"{folder / _SAVED_STATE} is not as `datasets` saves it; save the data set again") from None
