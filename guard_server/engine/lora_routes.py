"""vLLM's own routes that load and unload LoRA adapters while it runs.

They are there when vLLM was started with ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=1``, which the guard's own child is, on its private
socket.
"""

from pathlib import Path

import orjson

from guard_server.engine.channel import Channel
from guard_server.errors import EngineLoadError, EngineUnavailableError

_LOAD_S = 300.0
_LIST_S = 10.0
_HINT = (
    "Start the engine with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and let it read the adapter under the guard's path (a shared volume), "
    "or give it the adapter under its content name when it starts."
)


class LoraRoutes:
    """The adapters of one vLLM.

    Args:
        channel: The connections to it; cut by whoever made them.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def names(self) -> set[str]:
        """Return every name that it answers to.

        Raises:
            EngineLoadError: It can't be reached, or says something else.
        """
        try:
            reply = await self._channel.get("/v1/models", timeout_s=_LIST_S)
            return {str(model["id"]) for model in orjson.loads(reply.content)["data"]}
        except (EngineUnavailableError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise EngineLoadError("the engine does not list its models") from error

    async def load(self, name: str, directory: Path) -> None:
        """Load an adapter, unless it is there: a content name is never loaded in place.

        Raises:
            EngineLoadError: It can't be loaded.
        """
        if name in await self.names():
            return
        status = await self._post(
            "/v1/load_lora_adapter", {"lora_name": name, "lora_path": _absolute(directory)}
        )
        # Another guard may have been first.
        if status != 200 and name not in await self.names():
            raise EngineLoadError(f"the engine does not load {name} (status {status}). {_HINT}")

    async def unload(self, name: str) -> None:
        """Unload an adapter; one that is not there is no error.

        Raises:
            EngineLoadError: The engine can't be reached.
        """
        await self._post("/v1/unload_lora_adapter", {"lora_name": name})

    async def _post(self, path: str, body: dict[str, str]) -> int:
        try:
            return (await self._channel.post(path, orjson.dumps(body), timeout_s=_LOAD_S)).status
        except EngineUnavailableError as error:
            raise EngineLoadError("the engine can't be reached") from error


def _absolute(directory: Path) -> str:
    """Return the path as an engine in another directory finds it."""
    return str(directory.absolute())
