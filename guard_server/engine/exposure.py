"""Whether a remote engine answers those who are not the guard: then the defence can be walked round, and somebody must know."""

import orjson
import structlog

from guard_server.engine.channel import Channel

_log = structlog.get_logger()
_KEYED = ("/v1", "/v2", "/inference", "/cohere")
"""What vLLM's own ``--api-key`` covers (``vllm/entrypoints/serve/middleware/authenticate.py``, 0.32)."""
_WORST = "/invocations"
"""Answers chats and prompts like the routes with a key."""
_HARMLESS = frozenset({"/health", "/ping", "/ready", "/readyz", "/load", "/version", "/metrics"})


async def find_exposure(channel: Channel) -> list[str]:
    """Return what is wrong with an engine's own doors, worst first; empty when nothing was found.

    Only reading routes are asked: the list of models, and the OpenAPI document for routes that its key does not cover. A Unix
    socket is not looked at: no network leads to it, and who may ask there is what its permissions say.

    Raises:
        EngineUnavailableError: It can't be reached.
    """
    if channel.is_socket:
        return []
    faults = []
    if channel.is_plain_network:
        faults.append(
            "the link is not encrypted: prompts and stamps can be read and changed on it (use https)"
        )
    if (await channel.get("/v1/models", with_key=False)).status == 200:
        faults.append(
            "it answers without a key: whoever reaches it asks the model without the defence (start it with --api-key, and name "
            "the key in engine.api_key_env)"
        )
    if open_routes := _open_routes((await channel.get("/openapi.json", with_key=False)).content):
        faults.append(
            f"routes answer without its key, {open_routes[0]} among {len(open_routes)} of them: let only guards reach it, by "
            "network policy or a private network"
        )
    return faults


def _open_routes(document: bytes) -> list[str]:
    try:
        paths = set(orjson.loads(document)["paths"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return []
    found = {path for path in paths - _HARMLESS if not path.startswith(_KEYED)}
    return sorted(found, key=lambda path: (path != _WORST, path))
