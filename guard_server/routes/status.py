"""The status page, for operators with a browser. It shows and changes nothing."""

import asyncio

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from guard_server.status.guard_status import GuardStatus
from guard_server.status.page import page_maker

STATUS_PATH = "/ui"


class StatusRoute:
    """Answers with the page as it is now.

    Args:
        status: What it tells.
    """

    def __init__(self, status: GuardStatus) -> None:
        self.router = APIRouter()
        self._status = status
        self._maker = page_maker()
        self.router.add_api_route(
            STATUS_PATH, self.shown, methods=["GET", "HEAD"], response_class=HTMLResponse
        )

    async def shown(self) -> HTMLResponse:
        """Return the page."""
        page = await self._status.page()
        html = await asyncio.to_thread(self._maker.html, page)
        return HTMLResponse(html, headers=dict(self._maker.headers))
