"""Errors of a remote name it and say nothing of its secrets."""

import errno
import logging

import pytest

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.failures import Place, collect_failures

SETTINGS = {"url": "ssh://hanako:pa55word-in-url@data.lab.example/srv", "password": "pa55word", "user": "hanako"}


def test_an_error_of_the_system_names_remote_and_address_without_the_password() -> None:
    place = Place("store", SETTINGS)
    with pytest.raises(ArtifactError) as told, place.reached():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed, password pa55word")
    said = str(told.value)
    assert said.startswith("remote 'store' (ssh://hanako:***@data.lab.example/srv): ")
    assert "pa55word" not in said + repr(place)
    assert said.endswith("is it up, and may this machine reach it?")


def test_secrets_of_the_environment_are_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c0ffee-c0ffee")
    error = Place("store", {"url": "s3://bucket"}).explain(OSError("signed with c0ffee-c0ffee"))
    assert str(error) == "remote 'store' (s3://bucket): signed with ***"


def test_a_full_disk_says_what_to_do() -> None:
    error = Place("store", {"url": "/mnt/team"}).explain(OSError(errno.ENOSPC, "No space left on device"))
    assert "No space left on device; free space, then run again" in str(error)


def test_a_mistake_of_this_program_is_not_taken_for_the_remotes() -> None:
    with pytest.raises(ZeroDivisionError), Place("store", SETTINGS).reached():
        raise ZeroDivisionError


def test_what_dvc_logs_for_single_objects_is_collected_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    with collect_failures() as failed:
        logging.getLogger("dvc_data.hashfile.transfer").error("failed to transfer", exc_info=error)
    assert failed == [error]
    assert capfd.readouterr() == ("", "")
