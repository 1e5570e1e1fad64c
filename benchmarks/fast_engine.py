"""An engine that costs next to nothing: it answers in vLLM's shapes at once, so that what stands before it can be measured.

It proves nothing about a model. Faults can be switched on while it runs: ``GET /fake/MODE`` with ``well``, ``half`` (every answer breaks
off), ``slow`` (a second longer) or ``full`` (vLLM's answer when it runs out of memory, 500).

    .venv/bin/python -m benchmarks.fast_engine --port 9000 --model support@0123 --model writer@4567
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import uvloop

PREFIX = "Calm river sends old map:\n"
_ANSWER = "The parcel left the depot this morning and will be with you on Tuesday. "
_HEAD = b"HTTP/1.1 %d OK\r\ncontent-type: %b\r\n"


@dataclass
class Behaviour:
    """What the engine does.

    Attributes:
        models: The names that it serves.
        pieces: How many chunks a streamed answer has.
        delay_s: Seconds before an answer begins.
        gap_s: Seconds between two chunks.
        mode: The fault that is switched on.
        asked: How many requests it was sent.
    """

    models: list[str]
    pieces: int = 16
    delay_s: float = 0.0
    gap_s: float = 0.0
    mode: str = "well"
    asked: int = 0
    running: int = field(default=0)


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection; requests are answered one after the other.

    Args:
        behaviour: Shared by all connections.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._held = b""
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are no subclasses.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is being written."""
        del exc
        self._transport = None
        if self._task:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._held += data
        while True:
            head, found, rest = self._held.partition(b"\r\n\r\n")
            size = _content_length(head)
            if not found or len(rest) < size:
                return
            self._held = rest[size:]
            self._serve(head.split(b" ", 2)[1].decode(), rest[:size])

    def _serve(self, path: str, body: bytes) -> None:
        behaviour = self._behaviour
        if path.startswith("/fake/"):
            behaviour.mode = "well"
            self._whole(b'{"asked": %d, "running": %d}' % (behaviour.asked, behaviour.running))
            behaviour.mode = path.removeprefix("/fake/")
        elif path == "/v1/models":
            self._whole(orjson.dumps({"data": [{"id": model} for model in behaviour.models]}))
        elif not body:
            self._whole(b"{}", 200 if path == "/health" else 404)
        else:
            self._complete(path, orjson.loads(body))

    def _complete(self, path: str, payload: dict[str, Any]) -> None:
        behaviour = self._behaviour
        behaviour.asked += 1
        delay = behaviour.delay_s + (behaviour.mode == "slow")
        if payload["model"] not in behaviour.models or behaviour.mode == "full":
            self._whole(b"{}", 500 if behaviour.mode == "full" else 404)
        elif payload.get("stream"):
            self._task = asyncio.create_task(self._stream(path, payload, delay))
        elif delay:
            self._task = asyncio.create_task(self._later(path, payload, delay))
        else:
            self._whole(orjson.dumps(answer(path, payload)))

    async def _later(self, path: str, payload: dict[str, Any], delay: float) -> None:
        self._behaviour.running += 1
        try:
            await asyncio.sleep(delay)
            self._whole(orjson.dumps(answer(path, payload)))
        finally:
            self._behaviour.running -= 1

    async def _stream(self, path: str, payload: dict[str, Any], delay: float) -> None:
        self._behaviour.running += 1
        try:
            await asyncio.sleep(delay)
            self._write(_HEAD % (200, b"text/event-stream") + b"transfer-encoding: chunked\r\n\r\n")
            for at, event in enumerate(events(path, payload, self._behaviour.pieces)):
                if self._behaviour.mode == "half" and at > self._behaviour.pieces // 2:
                    self._break_off()
                    return
                self._write(b"%x\r\n%b\r\n" % (len(event), event))
                await asyncio.sleep(self._behaviour.gap_s)
            self._write(b"0\r\n\r\n")
        finally:
            self._behaviour.running -= 1

    def _whole(self, content: bytes, status: int = 200) -> None:
        head = _HEAD % (status, b"application/json") + b"content-length: %d\r\n\r\n" % len(content)
        if self._behaviour.mode == "half" and len(content) > 20:
            self._write(head + content[: len(content) // 2])
            self._break_off()
        else:
            self._write(head + content)

    def _write(self, content: bytes) -> None:
        if self._transport:
            self._transport.write(content)

    def _break_off(self) -> None:
        if self._transport:
            self._transport.close()


def answer(path: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a whole answer: a label where the engine is held to some, else text that begins with the prefix."""
    is_chat, n = path.endswith("chat/completions"), payload.get("n") or 1
    choices = [{"index": at, "finish_reason": "stop", **_said(payload, is_chat=is_chat)} for at in range(n)]
    return {"choices": choices, "usage": {"prompt_tokens": 20, "completion_tokens": 16 * n}}


def events(path: str, payload: dict[str, Any], pieces: int) -> Iterator[bytes]:
    """Yield the server-sent events of a text answer."""
    is_chat, n = path.endswith("chat/completions"), payload.get("n") or 1
    text = (b"" if _is_forced(payload) else PREFIX.encode()).decode() + _ANSWER * 4
    size = max(1, len(text) // pieces)
    for start in range(0, len(text), size):
        for at in range(n):
            piece = text[start : start + size]
            said = {"delta": {"content": piece}} if is_chat else {"text": piece}
            yield _event({"choices": [{"index": at, "finish_reason": None, **said}]})
    for at in range(n):
        end: dict[str, Any] = {"delta": {}} if is_chat else {"text": ""}
        yield _event({"choices": [{"index": at, "finish_reason": "stop", **end}]})
    yield _event({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": pieces * n}})
    yield b"data: [DONE]\n\n"


def _said(payload: dict[str, Any], *, is_chat: bool) -> dict[str, Any]:
    if "allowed_token_ids" not in payload:
        text = ("" if _is_forced(payload) else PREFIX) + _ANSWER
        return {"message": {"content": text}} if is_chat else {"text": text}
    token = payload["allowed_token_ids"][0]
    known = {f"token_id:{seen}": -1.0 - at for at, seen in enumerate(payload["logprob_token_ids"])}
    if not is_chat:
        return {"text": "2", "logprobs": {"tokens": [f"token_id:{token}"], "top_logprobs": [known]}}
    top = [{"token": name, "logprob": value} for name, value in known.items()]
    entry = {"token": f"token_id:{token}", "logprob": known[f"token_id:{token}"], "top_logprobs": top}
    return {"message": {"content": "2"}, "logprobs": {"content": [entry]}}


def _is_forced(payload: dict[str, Any]) -> bool:
    return bool(payload.get("continue_final_message")) or str(payload.get("prompt", "")).endswith(PREFIX)


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


async def serve(behaviour: Behaviour, port: int, socket: str | None = None) -> None:
    """Listen on loopback, or on a Unix socket, until cancelled; the first line of output is the port, 0 for a socket."""
    loop = asyncio.get_running_loop()
    if socket:
        server = await loop.create_unix_server(lambda: Connection(behaviour), socket, backlog=1024)
    else:
        server = await loop.create_server(lambda: Connection(behaviour), "127.0.0.1", port, backlog=1024)
    print(0 if socket else server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uds", help="a Unix socket to listen on, in place of a port")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--pieces", type=int, default=16)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--gap-ms", type=float, default=0)
    given = parser.parse_args()
    behaviour = Behaviour(given.model, given.pieces, given.delay_ms / 1000, given.gap_ms / 1000)
    try:
        uvloop.run(serve(behaviour, given.port, given.uds))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
