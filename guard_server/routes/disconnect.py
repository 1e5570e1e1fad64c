"""Work that ends when the client goes."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client went before its answer was there; nobody waits for one."""


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns, or cancel it when the client goes.

    Args:
        receive: The request's channel, its body already read.
        work: What the client waits for.

    Raises:
        ClientGoneError: The client went first.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_wait_until_gone(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGoneError
    finally:
        watching.cancel()
        working.cancel()
        # The engine's request must be closed before this one ends.
        await asyncio.gather(working, watching, return_exceptions=True)


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
