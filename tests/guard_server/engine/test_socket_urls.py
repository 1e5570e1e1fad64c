import socket
import threading
from pathlib import Path

import pytest

from guard_server.engine.channel import Channel
from guard_server.engine.exposure import find_exposure
from guard_server.settings import EngineSettings


def _answer_once(listener: socket.socket, seen: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


async def test_a_socket_is_an_engine_url(tmp_path: Path):
    seen: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "engine.sock"))
        listener.listen()
        thread = threading.Thread(target=_answer_once, args=(listener, seen))
        thread.start()
        channel = Channel(f"unix://{tmp_path}/engine.sock", key="secret")
        reply = await channel.get("/health")
        await channel.cut()
        thread.join(5)
    assert reply == (200, b"ok")
    assert seen[0].startswith(b"GET /health ")
    assert b"authorization: Bearer secret" in seen[0]


async def test_a_socket_is_no_door_to_the_network():
    channel = Channel("unix:///run/nobody.sock")
    assert not channel.is_plain_network
    assert await find_exposure(channel) == []


@pytest.mark.parametrize("url", ["unix:///run/e.sock", "http://engine:8000", "https://engine/base"])
def test_an_engine_url_is_http_or_a_socket(url: str):
    assert EngineSettings(url=url).remote_urls == EngineSettings(urls=(url,)).remote_urls == (url,)


@pytest.mark.parametrize("url", ["unix://run/e.sock", "unix:///", "ftp://engine", "http://user@engine"])
def test_anything_else_is_refused(url: str):
    with pytest.raises(ValueError, match="pattern"):
        EngineSettings(url=url)
