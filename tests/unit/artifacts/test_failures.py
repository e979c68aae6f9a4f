"""Errors of a remote name it and say nothing of its secrets."""

import errno
import logging
from pathlib import Path

import pytest
from dvc.exceptions import DvcException
from shelves import make_shelf

from mixlab.artifacts.errors import ArtifactError
from mixlab.artifacts.failures import Place, collect_failures, hide_secrets
from mixlab.artifacts.remote import open_depot
from mixlab.artifacts.store import Store

SETTINGS = {"url": "ssh://hanako:pa55word-in-url@data.lab.example/srv", "password": "pa55word", "user": "hanako"}


def test_an_error_of_the_system_names_remote_and_address_without_the_password() -> None:
    place = Place("store", SETTINGS)
    with pytest.raises(ArtifactError) as told, place.reached():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed, password pa55word")
    said = str(told.value)
    assert said.startswith("remote 'store' (ssh://hanako:***@data.lab.example/srv): ")
    assert "pa55word" not in said + repr(place)
    assert said.endswith("is it up, and may this machine reach it?")


def test_what_a_store_cannot_do_is_told_in_one_line() -> None:
    page = Place("page", {"url": "http://lab.example"})
    with pytest.raises(ArtifactError, match=r"remote 'page'.*: nobody can list or remove"), page.reached():
        raise NotImplementedError


def test_secrets_of_the_environment_are_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c0ffee-c0ffee")
    error = Place("store", {"url": "s3://bucket"}).explain(OSError("signed with c0ffee-c0ffee"))
    assert str(error) == "remote 'store' (s3://bucket): signed with ***"


@pytest.mark.parametrize("password", ["p@ssw0rd", "a/b", "a:b@c/d"])
def test_a_password_with_signs_that_an_address_has_is_hidden_whole(password: str) -> None:
    said = hide_secrets(f"cannot reach ssh://u:{password}@host/place and s3://k:{password}@bucket", {})
    assert said == "cannot reach ssh://u:***@host/place and s3://k:***@bucket"


def test_a_switch_whose_name_sounds_like_a_secret_leaves_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-ish")
    monkeypatch.setenv("ALLOW_ANONYMOUS_TOKEN", "False")
    assert hide_secrets("a false-ish word that is False", {}) == "a false-ish word that is False"
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    assert hide_secrets("sent hf_planted", {}) == "sent ***"


def test_what_dvc_itself_says_hides_the_secrets_of_the_remotes(tmp_path: Path) -> None:
    root = make_shelf(tmp_path / "shelf", url="ssh://data.lab.example/srv")
    with (root / ".dvc/config").open("a") as config:
        config.write("    password = planted-in-settings\n")
    with pytest.raises(ArtifactError) as told, open_depot(Store(root)):
        raise DvcException("refused planted-in-settings")
    assert str(told.value) == "DVC: refused ***"


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
