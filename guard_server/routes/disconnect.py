"""Work that ends when the client goes."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from starlette.types import Receive, Scope

T = TypeVar("T")
TellWhenGone = Callable[[Callable[[], None] | None], None]
WHEN_GONE = "p2p_guard.when_gone"
"""Where a request's scope may hold a listener's :data:`TellWhenGone`: it takes what to call when the connection is lost, or None for
nothing more. A task for each request that waits for that costs a twentieth of the request."""


class ClientGoneError(Exception):
    """The client went before its answer was there; nobody waits for one."""


async def unless_gone(scope: Scope, receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns, or cancel it when the client goes.

    Args:
        scope: The request's, which may hold the listener's :data:`WHEN_GONE`.
        receive: The request's channel, its body already read; asked where the listener does not tell.
        work: What the client waits for.

    Raises:
        ClientGoneError: The client went first.
    """
    asking = asyncio.current_task()
    if asking is None:
        raise RuntimeError("work for a client belongs to a task")
    is_gone = is_over = False

    def leave() -> None:
        nonlocal is_gone
        if not is_over:
            is_gone = True
            asking.cancel()

    stop_watching = _watch(scope, receive, leave)
    try:
        # In this task and not in one of its own: cancelling it closes the engine's request before it ends.
        return await work
    except asyncio.CancelledError:
        if is_gone and not asking.uncancel():
            raise ClientGoneError from None
        raise
    finally:
        is_over = True
        stop_watching()


def _watch(scope: Scope, receive: Receive, leave: Callable[[], None]) -> Callable[[], object]:
    """Let ``leave`` be called when the client goes; return what ends that."""
    tell: TellWhenGone | None = scope.get(WHEN_GONE)
    if tell:
        tell(leave)
        return partial(tell, None)
    watching = asyncio.create_task(_wait_until_gone(receive))
    watching.add_done_callback(lambda task: None if task.cancelled() else leave())
    return watching.cancel


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
