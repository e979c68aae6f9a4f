"""Tiny models, each made once."""

import pytest
from tiny_models import build_chat, build_random

from mixlab.config.engines import HfEngineSettings
from mixlab.generation.hf import open_engine


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory):
    """Folders of a random Llama of 96 positions and of its tokenizer."""
    folders = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("tokenizer")
    build_random(*folders)
    return folders


@pytest.fixture(scope="session")
def chat_folder(tmp_path_factory):
    """Folder of a chat model that has learned a few replies, with its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny_chat")
    build_chat(folder)
    return folder


@pytest.fixture(scope="session")
def open_tiny(model_folders):
    """Open the tiny random model with a batch size."""

    def open_with(batch, dtype="float32"):
        return open_engine(*model_folders, HfEngineSettings(dtype=dtype), threads=1, batch=batch)

    return open_with
