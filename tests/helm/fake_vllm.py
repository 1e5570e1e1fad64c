"""The routes of vLLM that the guard uses, answered without a model, on a socket or a port: for tests of how things are wired, never of
what a model says.
"""

import argparse
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from guard_server.engine.base import Endpoint, Payload
from tests.guard_server.conftest import answer_by_task


def app() -> FastAPI:
    """Return vLLM's stand-in; it knows every adapter that was loaded, as vLLM does."""
    server = FastAPI()
    loaded: list[str] = []

    @server.get("/health")
    async def health() -> dict[str, str]:
        return {}

    @server.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"data": [{"id": name} for name in loaded]}

    @server.post("/v1/load_lora_adapter")
    async def load(request: Request) -> str:
        loaded.append((await request.json())["lora_name"])
        return "loaded"

    @server.post("/v1/chat/completions")
    async def chat(request: Request) -> Payload:
        return answer_by_task(Endpoint.CHAT, {"n": 1} | await request.json())

    @server.post("/v1/completions")
    async def complete(request: Request) -> Payload:
        return answer_by_task(Endpoint.COMPLETIONS, {"n": 1} | await request.json())

    return server


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--uds", default=None)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    uvicorn.run(app(), uds=arguments.uds, host="127.0.0.1", port=arguments.port, log_level="warning")
