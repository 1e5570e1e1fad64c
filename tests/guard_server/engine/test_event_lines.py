import json
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_server.engine import event_lines as module
from guard_server.engine.base import Endpoint
from guard_server.engine.event_lines import event_lines
from guard_server.engine.vllm import VllmEngine
from guard_server.errors import EngineUnavailableError


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@settings(deadline=None)
@given(
    lines=st.lists(st.binary(max_size=8).filter(lambda line: not {10, 13} & {*line})), size=st.integers(1, 9)
)
async def test_lines_come_out_whatever_pieces_they_came_in(lines: list[bytes], size: int):
    content = b"".join(line + b"\r\n" for line in lines)
    assert [line async for line in event_lines(pieces(content, size))] == lines


async def test_other_line_ends_of_unicode_are_text():
    """JSON may hold U+2028, U+0085 and the like unescaped."""
    chunk = {"choices": [{"index": 0, "text": "a\u2028b\u0085c\x1cd"}]}
    content = f"data: {json.dumps(chunk, ensure_ascii=False)}\n\ndata: [DONE]\n\n".encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    engine = VllmEngine.of_clients({"m": httpx.AsyncClient(transport=transport, base_url="http://engine")})
    assert [found async for found in engine.stream(Endpoint.COMPLETIONS, {"model": "m"})] == [chunk]


async def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_LONGEST", 10)
    with pytest.raises(EngineUnavailableError):
        _ = [line async for line in event_lines(pieces(b"x" * 30, 4))]
