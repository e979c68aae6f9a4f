"""The warden alone, without a sandbox around it."""

import ctypes
import errno
import os
from types import SimpleNamespace

import pytest

from mixlab.evaluation import warden


@pytest.mark.parametrize("failing", ["prctl", "capset"])
def test_rights_that_cannot_be_given_up_are_an_error(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {name: lambda *arguments, result=-(name == failing): result for name in ("prctl", "capset")}
    monkeypatch.setattr(warden.ctypes, "CDLL", lambda *arguments, **options: SimpleNamespace(**calls))
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EPERM)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(OSError, match="rights could not be given up: Operation not permitted"):
        warden.drop_rights(1001)
