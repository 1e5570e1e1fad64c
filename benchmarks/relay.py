"""A relay between a guard and an engine's socket, where what lies on the way can go wrong: slowly, by half, or to another engine."""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Self

_SLOW_S = 1.0


class Relay:
    """Copies bytes both ways on loopback, in a thread of its own, while its block lasts.

    Args:
        socket: The engine's.

    Attributes:
        port: Where it listens.
        mode: ``well``, ``slow`` (each piece of an answer a second late) or ``half`` (an answer breaks off in its next piece).
    """

    def __init__(self, socket: Path) -> None:
        self.port = 0
        self.mode = "well"
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._open: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lead_to(self, socket: Path) -> None:
        """Close every connection, and lead new ones to another engine."""
        self._socket = socket
        self._loop.call_soon_threadsafe(self._cut)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            engine_reader, engine_writer = await asyncio.open_unix_connection(str(self._socket))
            there = asyncio.create_task(self._copy(reader, engine_writer))
            await self._answer(engine_reader, writer)
            there.cancel()
            engine_writer.close()
        except OSError:
            # The engine went; the guard sees its connection end.
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            if self.mode == "slow":
                await asyncio.sleep(_SLOW_S)
            if self.mode == "half":
                writer.write(piece[: len(piece) // 2])
                await writer.drain()
                writer.close()
                return
            writer.write(piece)
            await writer.drain()
