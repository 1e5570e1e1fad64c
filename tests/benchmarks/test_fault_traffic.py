"""What the fault benchmark says of answers, from bytes written by hand, and of a server that fails in each way."""

import asyncio

import pytest

from benchmarks.fault_traffic import Fault, Guarded, Traffic, said, under_traffic
from benchmarks.load import BROKEN_OFF, ERROR_FRAME, NO_CONNECTION, Load

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b'data: {"choices":[{"delta":{"content":"late"}}],"p2p_guard":{}}\n\n'
WHOLE = b'HTTP/1.1 200 OK\r\ncontent-length: 69\r\n\r\n{"choices":[{"message":{"content":"delivery"}}],"p2p_guard":{"o":"p"}}'
ASK = b"GET / HTTP/1.1\r\n\r\n"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_the_text_of_a_stream_is_put_together_over_its_chunks():
    assert said(HEAD + chunked(CHUNK, CHUNK)) == "latelate"
    assert said(HEAD + b"%x\r\n" % len(CHUNK) + CHUNK[:20]) == ""


def test_a_secret_that_is_spread_over_chunks_is_found():
    guarded = Guarded(("tela",))
    assert not guarded(200, HEAD + chunked(CHUNK, CHUNK))
    assert guarded(200, HEAD + chunked(CHUNK))


def test_a_whole_answer_needs_the_guards_mark_and_one_of_the_labels():
    guarded = Guarded((), frozenset({"delivery"}))
    assert guarded(200, WHOLE)
    assert not guarded(200, WHOLE.replace(b"p2p_guard", b"something"))
    assert not Guarded((), frozenset({"billing"}))(200, WHOLE)


def test_a_refusal_needs_no_mark():
    assert Guarded(("secret",))(503, b"HTTP/1.1 503 X\r\ncontent-length: 2\r\n\r\n{}")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (WHOLE, 200),
        (WHOLE[:60], BROKEN_OFF),
        (b"", NO_CONNECTION),
        (HEAD + chunked(CHUNK, b"data: [DONE]\n\n"), 200),
        (HEAD + chunked(CHUNK, b'data: {"error": {}}\n\n'), ERROR_FRAME),
        (HEAD + chunked(CHUNK), BROKEN_OFF),
        (b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", 503),
    ],
)
async def test_what_a_client_saw(sent: bytes, status: int):
    async with await asyncio.start_server(_saying(sent), "127.0.0.1", 0) as server:
        load = Load(server.sockets[0].getsockname()[1], ASK)
        running = asyncio.create_task(load.run(1))
        while not load.answers:  # noqa: ASYNC110 - the load has no event for it
            await asyncio.sleep(0.001)
        load.stop()
        await running
        await asyncio.sleep(0.01)
    assert load.answers[0].status == status
    assert load.asked == len(load.answers)


async def test_a_fault_is_over_when_all_is_well_again():
    answer = [WHOLE]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readline()
            writer.write(answer[0])
        writer.close()

    def break_it(place: None) -> None:
        answer[0] = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"

    def mend_it(place: None) -> None:
        answer[0] = WHOLE

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kinds = {"labels": (ASK, Guarded((), frozenset({"delivery"})))}
        traffic = Traffic(port, kinds, connections=1, before_s=0.05, after_s=0.1)
        row = await under_traffic(Fault("f", "w", break_it, mend_it, 0.2), None, traffic)
        # The server's side closes in its own time.
        await asyncio.sleep(0.01)
    assert set(row.before) == {"200"}
    assert row.during["503"] > 0
    assert row.recovery_s == pytest.approx(0.05, abs=0.1)
    assert (row.unanswered, row.unguarded) == (0, 0)


def _saying(sent: bytes):
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(sent)
        await writer.drain()
        writer.close()

    return say
