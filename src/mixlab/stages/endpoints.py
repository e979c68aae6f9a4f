"""How a host reaches an endpoint: by its name in the machine settings; keys come from the environment here alone."""

import os

from mixlab.config.problems import ConfigError, did_you_mean
from mixlab.generation.async_chat import list_models
from mixlab.generation.openai import ChatClient
from mixlab.stages.job import Inputs


def open_endpoint(place: str, inputs: Inputs) -> ChatClient:
    """Return the client of the endpoint that stands at `place` in the plan file's table of places.

    Raises ConfigError where this machine does not say how it is reached, EndpointError where it cannot be.
    """
    name, known = inputs.files.get(place, ""), inputs.machine.endpoints
    if name not in known:
        hint = did_you_mean(name, known)
        raise ConfigError(f"{inputs.node.label}: machine.endpoints has no '{name}'{hint}; add it to config.yaml")
    endpoint = known[name]
    key = os.environ.get(endpoint.api_key_env) if endpoint.api_key_env else None
    if endpoint.api_key_env and key is None:
        raise ConfigError(f"endpoint '{name}': the environment variable {endpoint.api_key_env} is not set")
    client: ChatClient = inputs.session.once(("endpoint", name), lambda: ChatClient(name, endpoint, key))
    # one request that costs nothing, so that a server that is down is told at once and not after all retries
    list_models(client)
    return client
