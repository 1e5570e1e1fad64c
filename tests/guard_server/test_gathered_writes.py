"""What is written in one turn of the loop leaves as one piece, in order, and nothing is lost when the connection closes."""

import asyncio

import pytest

from guard_server.gathered_writes import GatheringTransport


class Recorder(asyncio.Transport):
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


@pytest.fixture
def real() -> Recorder:
    return Recorder()


def gathering(real: Recorder) -> GatheringTransport:
    return GatheringTransport(real, asyncio.get_running_loop())


async def test_a_head_and_its_body_leave_together(real: Recorder):
    transport = gathering(real)
    transport.write(b"head")
    transport.write(b"body")
    assert real.written == []
    await asyncio.sleep(0)
    assert real.written == [b"headbody"]


async def test_the_next_turn_is_another_piece(real: Recorder):
    transport = gathering(real)
    transport.write(b"one")
    await asyncio.sleep(0)
    transport.write(b"two")
    await asyncio.sleep(0)
    assert real.written == [b"one", b"two"]


async def test_what_is_held_leaves_before_the_connection_closes(real: Recorder):
    transport = gathering(real)
    transport.write(b"last")
    transport.close()
    assert (real.written, real.is_closed) == ([b"last"], True)
    await asyncio.sleep(0)
    assert real.written == [b"last"]


async def test_much_is_not_held(real: Recorder):
    transport = gathering(real)
    transport.write(b"x" * 40_000)
    transport.write(b"y" * 40_000)
    assert real.written == [b"x" * 40_000 + b"y" * 40_000]
    assert transport._size == 0


async def test_an_aborted_connection_is_written_nothing(real: Recorder):
    transport = gathering(real)
    transport.write(b"late")
    transport.abort()
    await asyncio.sleep(0)
    assert real.written == []
