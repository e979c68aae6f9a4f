"""Sizes in bytes as people write them: 4 GiB, 500 MB, exact."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from mixlab.config.exact import parse_exact

UNITS = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGTP", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTP", 1)},
}
"""Decimal and binary units; `kB` is 1,000 bytes, `KiB` 1,024."""

_SIZE = re.compile(r"\s*(.*?)\s*([A-Za-z]+)?\s*")
_SPELLED = {name.lower(): name for name in UNITS}


def parse_bytes(value: Any) -> int:
    """Read `4 GiB`, `0.5 MB`, `4_096` or 4096 as a whole number of bytes.

    Raises ValueError for an unknown unit and for a size that is no whole number of bytes.
    """
    text = getattr(value, "text", str(value))
    match = _SIZE.fullmatch(text) if isinstance(value, str) else None
    unit = match[2] if match is not None else None
    if match is None or unit is None:
        size = parse_exact(value)
    elif unit.lower() in _SPELLED:
        size = parse_exact(match[1]) * UNITS[_SPELLED[unit.lower()]]
    else:
        raise ValueError(f"expected a size like 4 GiB or 500 MB, got {text!r}; units: {', '.join(UNITS)}")
    if size.denominator != 1:
        raise ValueError(f"expected a whole number of bytes, got {text!r}")
    return int(size)


Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "4 GiB, 500 MB or 4096"}),
]
"""A positive size in bytes."""
