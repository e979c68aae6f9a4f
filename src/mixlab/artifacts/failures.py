"""What a remote says when it fails: its host and the reason in one line, never a password, a key or a token."""

import errno
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mixlab.artifacts.errors import ArtifactError

HIDDEN = "***"
_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token(?!i[sz]er)|access_key|account_key|connection_string|auth_header", re.I
)
_IN_ADDRESS = re.compile(r"(://[^/@\s:]*):\S+@")
"""A password in an address, to the last `@`: it may hold `@` and `/` itself. Better hide a port than half of one."""
_SHORTEST_SECRET = 4
_NO_SECRETS = frozenset(("true", "false", "none", "null", "disabled", "enabled"))
"""Values of switches whose names sound like secrets; to blot them out would leave holes in every sentence."""
_LIBRARIES = frozenset(("aiobotocore", "aiohttp", "asyncssh", "botocore", "fsspec", "s3fs", "sshfs"))
"""Whose exceptions tell of a remote; any other one is a mistake of this program and shows itself as such."""
_REPORTERS = ("dvc_data.hashfile.transfer", "dvc_objects.fs.generic")
"""The loggers to which DVC hands what fails for one object of a batch, with a traceback, before it goes on."""


def hide_secrets(text: str, settings: Mapping[str, Any]) -> str:
    """Blot out the secrets of a remote's settings, of the environment and of addresses with a password in them."""
    known = [*settings.items(), *os.environ.items()]
    secrets = {str(value) for name, value in known if _SECRET_NAME.search(name)}
    secrets = {value for value in secrets if value.lower() not in _NO_SECRETS}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return _IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)


@dataclass(frozen=True)
class Place:
    """A configured remote: its name and its settings, of which only the address is ever shown."""

    name: str
    settings: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        address = str(self.settings.get("url", ""))
        if self.settings.get("endpointurl"):
            address = f"{address} at {self.settings['endpointurl']}"
        return hide_secrets(f"remote '{self.name}' ({address})", self.settings)

    def explain(self, error: BaseException) -> ArtifactError:
        """Say in one line what went wrong with the remote, and what may mend it."""
        said = " ".join(str(error).split()) or type(error).__name__
        cure = _find_cure(error, self.name)
        return ArtifactError(f"{self}: {hide_secrets(said, self.settings)}{f'; {cure}' if cure else ''}")

    @contextmanager
    def reached(self) -> Iterator[list[BaseException]]:
        """Collect what fails for single objects, and turn what the remote's library raises into an error naming it."""
        with collect_failures() as failed:
            try:
                yield failed
            except ArtifactError:
                raise
            except NotImplementedError as error:
                say = "nobody can list or remove what such a store has; do it where its files lie"
                raise ArtifactError(f"{self}: {say}") from error
            except Exception as error:
                if not isinstance(error, OSError) and not _is_library(error):
                    raise
                raise self.explain(error) from error


@contextmanager
def collect_failures() -> Iterator[list[BaseException]]:
    """Collect the exceptions that DVC logs, one for each object of a batch that fails, instead of raising them."""
    failed: list[BaseException] = []
    handler = _Collector(failed)
    loggers = [logging.getLogger(name) for name in _REPORTERS]
    before = [one.propagate for one in loggers]
    for one in loggers:
        one.addHandler(handler)
        one.propagate = False
    try:
        yield failed
    finally:
        for one, propagate in zip(loggers, before, strict=True):
            one.removeHandler(handler)
            one.propagate = propagate


def _is_library(error: BaseException) -> bool:
    room = type(error).__module__.partition(".")[0]
    return room in _LIBRARIES or room.startswith("dvc")


class _Collector(logging.Handler):
    """Keeps the exceptions that a library logs instead of raising them."""

    def __init__(self, failed: list[BaseException]) -> None:
        super().__init__(logging.ERROR)
        self._failed = failed

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception of a record."""
        if record.exc_info and record.exc_info[1] is not None:
            self._failed.append(record.exc_info[1])


def _find_cure(error: BaseException, name: str) -> str:
    """Say what may mend an error; nothing where its own words do."""
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free space, then run again: what arrived whole is kept"
    if kind == "RemoteMissingDepsError":
        return f"install what it needs: pip install 'dvc[{getattr(error, 'protocol', name)}]'"
    if kind in ("PermissionDenied", "PermissionError", "AuthError", "NoCredentialsError", "HostKeyNotVerifiable"):
        return f"check user, key and host key (`dvc remote modify --local {name} …`)"
    if isinstance(error, ConnectionError | TimeoutError) or "onnect" in kind or kind == "gaierror":
        return "is it up, and may this machine reach it?"
    return ""
