"""Bytes of a stream, cut anywhere, give the same events; and any bytes at all give events or an error of ours."""

from hypothesis import given
from hypothesis import strategies as st

from guard_server.engine.sse import EventReader
from tests.fuzz.conftest import fuzzed

streams = st.lists(
    st.sampled_from(
        [b"data:", b"data: ", b"x", b"\n", b"\r", b"\r\n", b":", b"\xe2\x80\xa8", b"event: y", b"\x00"]
    ),
    max_size=40,
)


def events(stream: bytes, cuts: list[int]) -> list[bytes]:
    reader, places = EventReader(), sorted(cut % (len(stream) + 1) for cut in cuts)
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    return [event for piece in pieces for event in reader.feed(piece)]


def by_the_standard(stream: bytes) -> list[bytes]:
    """The algorithm of WHATWG HTML 9.2.6, over a whole text; what its last line leaves open is dropped."""
    text = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found: list[bytes] = []
    data: list[bytes] = []
    for line in text.split(b"\n")[:-1]:
        if not line and data:
            found.append(b"\n".join(data))
            data = []
        name, colon, value = line.partition(b":")
        if colon and name == b"data":
            data.append(value.removeprefix(b" "))
    return found


@fuzzed
@given(parts=streams, cuts=st.lists(st.integers(0, 300), max_size=12))
def test_the_events_are_the_standards_however_it_is_cut(parts: list[bytes], cuts: list[int]):
    # A carriage return at the very end may be half of a line end: only more bytes decide that.
    stream = b"".join(parts).rstrip(b"\r")
    assert events(stream, cuts) == by_the_standard(stream)


@fuzzed
@given(stream=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=12))
def test_any_bytes(stream: bytes, cuts: list[int]):
    assert events(stream.rstrip(b"\r"), cuts) == by_the_standard(stream.rstrip(b"\r"))
