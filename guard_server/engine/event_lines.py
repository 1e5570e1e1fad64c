"""Lines of a server-sent stream: they end at a line feed and nowhere else.

httpx's own ``aiter_lines`` also splits at the other characters that Python calls line ends, U+2028 among them. JSON may hold
those unescaped, so that an answer with one would be torn.
"""

from collections.abc import AsyncGenerator, AsyncIterable

from guard_server.errors import EngineUnavailableError

_LONGEST = 8 * 1024 * 1024


async def event_lines(pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield each line without its end.

    Raises:
        EngineUnavailableError: A line is longer than 8 MiB: that is no answer of an engine.
    """
    held = bytearray()
    async for piece in pieces:
        held += piece
        *lines, rest = held.split(b"\n")
        for line in lines:
            yield bytes(line.removesuffix(b"\r"))
        held = rest
        if len(held) > _LONGEST:
            raise EngineUnavailableError("the engine's answer can't be read")
    if held:
        yield bytes(held)
