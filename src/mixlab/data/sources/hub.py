"""The Hugging Face hub, by way of its libraries: commits, splits of data sets as Arrow files, files of models.

The libraries take address, cache folder and token from their usual environment (HF_ENDPOINT, HF_HOME, HF_TOKEN,
HF_HUB_OFFLINE). They are imported when a hub source is read or locked, and not before: that takes a second.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixlab.config.origins import HubOrigin
from mixlab.config.problems import DataError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGEST_WORD = 300


def resolve_revision(name: str, revision: str) -> str:
    """Find the commit of a data set's branch, tag or commit.

    Raises DataError when the hub cannot be reached, does not know the data set or the revision, or asks for a login.
    """
    from huggingface_hub import HfApi

    with _told(name, revision):
        found = HfApi().dataset_info(name, revision=revision).sha
    if found is None or not _COMMIT.fullmatch(found):
        raise DataError(f"hub data set {name}: the hub names no commit for revision '{revision}'")
    return str(found)


def fetch_split(origin: HubOrigin) -> list[Path]:
    """Bring a split of a data set into the cache of `datasets`; return its Arrow files in the order of its records.

    What is in the cache is not fetched again. Raises DataError with what the library says, in one line.
    """
    import datasets

    datasets.disable_progress_bars()
    with _told(origin.id, origin.revision, datasets.exceptions.DatasetsError):
        # by its address: of a bare name the library prefers a folder of that name in the working folder
        loaded = datasets.load_dataset(
            f"hf://datasets/{origin.id}", name=origin.config, split=origin.split, revision=origin.revision
        )
    paths = [Path(file["filename"]) for file in loaded.cache_files]
    if any(origin.revision not in path.parts for path in paths):
        # when anything fails, the library takes whatever revision it finds in its cache
        raise DataError(
            f"hub data set {origin.id}: the hub cannot be reached, and the cache holds another revision than "
            f"{origin.revision[:12]}; try again"
        )
    return paths


def resolve_model_revision(name: str, revision: str) -> str:
    """Find the commit of a model's branch, tag or commit; raises DataError as `resolve_revision` does."""
    from huggingface_hub import HfApi

    with _told(name, revision, kind="model"):
        found = HfApi().model_info(name, revision=revision).sha
    if found is None or not _COMMIT.fullmatch(found):
        raise DataError(f"hub model {name}: the hub names no commit for revision '{revision}'")
    return str(found)


def fetch_model(name: str, revision: str, patterns: Sequence[str]) -> Path:
    """Bring the files of a model at one commit into the hub's cache and return their folder.

    Only files that match `patterns` are fetched; what is in the cache is not fetched again. Raises DataError with
    what the library says, in one line.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    with _told(name, revision, kind="model"):
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    if folder.name != revision:
        raise DataError(f"hub model {name}: the cache holds another revision than {revision[:12]}; try again")
    return folder


def fetch_file(name: str, revision: str, file: str) -> Path:
    """Bring one file of a model at one commit into the hub's cache; raises DataError as `fetch_model` does."""
    path = fetch_model(name, revision, [file]) / file
    if not path.is_file():
        raise DataError(f"hub model {name} at {revision[:12]}: no file '{file}' is in its repository, nor in the cache")
    return path


@contextmanager
def _told(name: str, revision: str, *errors: type[Exception], kind: str = "data set") -> Iterator[None]:
    """Turn what the libraries raise into one problem; their messages may hold addresses, but never the token."""
    import httpx2
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    what = f"hub {kind} {name} at {revision[:12]}"
    known: tuple[type[Exception], ...] = (
        *errors,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        httpx2.HTTPError,
        OSError,
        ValueError,
        RuntimeError,
    )
    try:
        yield
    except known as error:
        raise DataError(f"{what}: {_explain(_chain(error), huggingface_hub.get_token())}") from None


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _explain(errors: list[BaseException], token: str | None) -> str:
    cure = _cure(errors)
    words = re.sub(r"\s+", " ", str(errors[0])).strip() or type(errors[0]).__name__
    if token:
        words = words.replace(token, "(hidden)")
    words = words if len(words) <= _LONGEST_WORD else words[:_LONGEST_WORD] + "…"
    return f"{cure}: {words}" if cure else words


def _cure(errors: list[BaseException]) -> str:
    from huggingface_hub import errors as known

    status = next((_status(error) for error in errors if _status(error)), 0)
    if any(isinstance(error, known.RevisionNotFoundError) for error in errors):
        return "the hub knows no such revision; mend `revision` and run `mixlab lock`"
    if status in (401, 403) or any(isinstance(error, known.GatedRepoError) for error in errors):
        return "the hub refuses it: it does not exist, or one must log in (HF_TOKEN) and agree to its terms"
    if status == 404 or any(isinstance(error, known.RepositoryNotFoundError) for error in errors):
        return "the hub does not know it; mend `id`"
    if status:
        return f"the hub answers {status}; try again"
    names = {type(error).__name__ for error in errors}
    if any(isinstance(error, known.OfflineModeIsEnabled) for error in errors):
        return "HF_HUB_OFFLINE is set and it is not in the cache"
    if names & {"ConnectError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "TimeoutError", "NetworkError"}:
        return "the hub cannot be reached"
    return ""


def _status(error: BaseException) -> int:
    response: Any = getattr(error, "response", None)
    return int(getattr(response, "status_code", 0) or 0)
