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
    asking = asyncio.current_task()
    if asking is None:
        raise RuntimeError("work for a client belongs to a task")
    is_gone = is_over = False

    def leave(watching: asyncio.Task[None]) -> None:
        nonlocal is_gone
        if not watching.cancelled() and not is_over:
            is_gone = True
            asking.cancel()

    watching = asyncio.create_task(_wait_until_gone(receive))
    watching.add_done_callback(leave)
    try:
        # In this task and not in one of its own: cancelling it closes the engine's request before it ends.
        return await work
    except asyncio.CancelledError:
        if is_gone and not asking.uncancel():
            raise ClientGoneError from None
        raise
    finally:
        is_over = True
        watching.cancel()


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
