import socket
import threading
from pathlib import Path

import pytest

from guard_server.engine.vllm import client_of_url

pytestmark = pytest.mark.anyio


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
        async with client_of_url(f"unix://{tmp_path}/engine.sock", "secret") as client:
            reply = await client.get("/health")
        thread.join(5)
    assert reply.text == "ok"
    assert seen[0].startswith(b"GET /health ")
    assert b"authorization: Bearer secret" in seen[0]


async def test_another_url_is_asked_as_it_is():
    async with client_of_url("http://engine.example.com:8000", None) as client:
        assert str(client.base_url) == "http://engine.example.com:8000"
        assert "authorization" not in client.headers
