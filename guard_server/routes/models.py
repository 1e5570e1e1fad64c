"""``/v1/models``: the adapters that are served, and nothing else that the engine may have."""

from collections.abc import Mapping

from fastapi import APIRouter

from guard_server.adapter import LoadedAdapter
from guard_server.errors import ModelNotFoundError
from guard_server.schemas import WireObject


def models_router(adapters: Mapping[str, LoadedAdapter]) -> APIRouter:
    """Return the routes that list adapters."""
    router = APIRouter()

    @router.get("/v1/models")
    async def list_models() -> WireObject:
        return {"object": "list", "data": [_model(name, adapter) for name, adapter in adapters.items()]}

    @router.get("/v1/models/{name:path}")
    async def get_model(name: str) -> WireObject:
        if name not in adapters:
            raise ModelNotFoundError("the model does not exist", "model")
        return _model(name, adapters[name])

    return router


def _model(name: str, adapter: LoadedAdapter) -> WireObject:
    created = int(adapter.manifest.created.timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": "p2p-guard"}
