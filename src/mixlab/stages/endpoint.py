"""How a stage reaches a language model: an endpoint of the machine settings, its key from the environment."""

import os
from collections.abc import Mapping

from mixlab.config.endpoints import EndpointSettings
from mixlab.config.problems import ConfigError, did_you_mean
from mixlab.generation.openai import ChatClient


def open_client(name: str, known: Mapping[str, EndpointSettings], where: str) -> ChatClient:
    """Return a client of the endpoint `name`; raises ConfigError where this machine has none, or not its key."""
    if name not in known:
        hint = did_you_mean(name, known)
        raise ConfigError(f"{where}: machine.endpoints has no '{name}'{hint}; add it to config.yaml")
    endpoint = known[name]
    key = os.environ.get(endpoint.api_key_env) if endpoint.api_key_env else None
    if endpoint.api_key_env and key is None:
        raise ConfigError(f"endpoint '{name}': the environment variable {endpoint.api_key_env} is not set")
    return ChatClient(name, endpoint, key)
