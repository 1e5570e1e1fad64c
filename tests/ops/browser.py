"""A real headless Chromium, driven through its DevTools protocol."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

_START_S = 60
_ANSWER_S = 60
_FONTS = '<?xml version="1.0"?><fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>'
# Its own sandbox needs rights that a container has not; what it opens is our own page on this machine.
_FLAGS = (
    "--headless=shell",
    "--no-sandbox",
    "--remote-debugging-port=0",
    "--hide-scrollbars",
    "--disable-background-networking",
)


class Tab:
    """One tab.

    Args:
        socket: Its DevTools connection.

    Attributes:
        password: Given when a page asks for one; None gives none.
        challenges: How often one was asked for.
        complaints: What the browser's console said: errors, and what the content security policy blocked.
        asked: Every URL that the page made the browser ask for.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.password: str | None = None
        self.challenges = 0
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self._socket = socket
        self._last = 0
        self._has_loaded = False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Fetch.enable", handleAuthRequests=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; what the browser tells meanwhile is dealt with."""
        wanted = self._send(method, params)
        while True:
            told = json.loads(self._socket.recv(timeout=_ANSWER_S))
            if told.get("id") == wanted:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result
            self._hear(told.get("method", ""), told.get("params", {}))

    def open(self, url: str) -> None:
        """Go there and wait until it has loaded."""
        self._has_loaded = False
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + _ANSWER_S
        while not self._has_loaded:
            assert time.monotonic() < deadline, f"{url} does not load"
            self.call("Runtime.evaluate", expression="0")

    def show(self, width: int, height: int = 800, *, scheme: str = "light", media: str = "screen") -> None:
        """Take a window's size, a colour scheme and a medium."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; the policy of the page does not bind the tool."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self) -> bytes:
        """Return the whole page as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=False)["data"])

    def _send(self, method: str, params: dict[str, Any]) -> int:
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        return self._last

    def _hear(self, event: str, params: dict[str, Any]) -> None:
        if event == "Fetch.requestPaused":
            self._send("Fetch.continueRequest", {"requestId": params["requestId"]})
        elif event == "Fetch.authRequired":
            self._authenticate(params)
        elif event == "Page.loadEventFired":
            self._has_loaded = True
        elif event == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif event == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]["text"]))

    def _authenticate(self, params: dict[str, Any]) -> None:
        self.challenges += 1
        answer: dict[str, str] = {"response": "CancelAuth"}
        if self.password is not None:
            answer = {"response": "ProvideCredentials", "username": "admin", "password": self.password}
        self._send(
            "Fetch.continueWithAuth", {"requestId": params["requestId"], "authChallengeResponse": answer}
        )


@contextmanager
def browser(folder: Path, home: Path) -> Iterator[Tab]:
    """Start the Chromium of a folder, and give its tab until the block ends.

    Args:
        folder: As ``scripts.fetch_chromium`` makes it.
        home: Where it may write.
    """
    profile = home / "profile"
    (home / "fonts.conf").write_text(_FONTS.format(fonts=folder / "fonts", cache=home / "fonts"))
    environment = os.environ | {
        "LD_LIBRARY_PATH": f"{folder / 'lib'}:{folder}",
        "FONTCONFIG_FILE": str(home / "fonts.conf"),
        "HOME": str(home),
    }
    command = [str(folder / "chromium"), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with (home / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        with connect(_tab_address(process, profile, home / "chromium.log"), max_size=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait(30)


def _tab_address(process: subprocess.Popen[bytes], profile: Path, log: Path) -> str:
    deadline, file = time.monotonic() + _START_S, profile / "DevToolsActivePort"
    while not (file.is_file() and file.read_text().count("\n")):
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)
    port = file.read_text().split("\n", 1)[0]
    tabs = httpx.get(f"http://127.0.0.1:{port}/json", timeout=_START_S).json()
    return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")
