"""Lines of JSON that artifacts hold, read with an address for what is wrong in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixlab.config.problems import DataError, Problem
from mixlab.data.writing import list_lines


def read_rows(path: Path, *fields: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file, one a line; raises DataError naming the line that lacks one of `fields`."""
    for number, line in enumerate(list_lines(path), start=1):
        try:
            row = json.loads(line)
            missing = [name for name in fields if name not in row]
        except (ValueError, TypeError) as error:
            raise DataError(Problem(f"not a line of JSON ({error}); run `mixlab verify`", str(path), number)) from None
        if missing:
            raise DataError(Problem(f"has no {', '.join(missing)}; run `mixlab verify`", str(path), number))
        yield row
