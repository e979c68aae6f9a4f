"""A lab for tests of model judges."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from judge_lab import Lab, Start
from scripted_server import Script, serve


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Opens labs in one folder, each with a server that ends with the test."""
    with ExitStack() as stack:

        def open_lab(script: Script, **settings: Any) -> Lab:
            return Lab(tmp_path, stack.enter_context(serve(script)), **settings)

        yield open_lab
