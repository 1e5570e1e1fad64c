import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_server.engine import sse
from guard_server.engine.sse import EventReader
from guard_server.errors import EngineUnavailableError


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_ends_with_a_blank_line(end: bytes):
    stream = end.join(
        [b"data: one", b"", b": a comment", b"data:two", b"data:  three", b"", b"event: x", b"", b""]
    )
    assert EventReader().feed(stream + b"data: not yet" + end) == [b"one", b"two\n three"]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_other_line_separators_are_text(mark: str):
    said = f'{{"text": "a{mark}b"}}'.encode()
    assert EventReader().feed(b"data: " + said + b"\n\n") == [said]


@given(st.lists(st.binary(max_size=20).filter(lambda line: not {10, 13} & set(line)), max_size=8), st.data())
def test_the_pieces_do_not_matter(lines: list[bytes], data: st.DataObject):
    stream = b"".join(b"data: " + line + b"\r\n\r\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = EventReader()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [event for piece in pieces for event in reader.feed(piece)] == lines


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 50, b"data: xxxxxxxxxxxxxxxx\n"])
def test_an_event_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch, piece: bytes):
    monkeypatch.setattr(sse, "_LONGEST_EVENT", 100)
    reader = EventReader()
    for _ in range(100 // len(piece)):
        reader.feed(piece)
    with pytest.raises(EngineUnavailableError):
        reader.feed(piece * 2)
