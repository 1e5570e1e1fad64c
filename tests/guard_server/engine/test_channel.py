import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from guard_server.engine import channel as module
from guard_server.engine.channel import Channel, NotSentError
from guard_server.engine.fleet import Fleet
from guard_server.errors import EngineUnavailableError, GuardConfigError
from guard_server.settings import GuardConfig
from tests.guard_server.engine.engines import Engine, serve


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that no system trusts, with its key behind it."""
    import subprocess

    home = tmp_path_factory.mktemp("tls")
    made = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=engine"
    )
    files = "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run([*made.split(), *files.split()], cwd=home, check=True, capture_output=True)
    return home


@pytest.fixture
async def https(certificate: Path) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server = RawTestServer(Engine("one").answer, scheme="https")
    await server.start_server(ssl=context)
    yield str(server.make_url(""))
    await server.close()


async def test_an_own_certificate_is_trusted_where_it_is_named(https: str, certificate: Path):
    channel = Channel(https, ca_file=certificate / "cert.pem")
    assert (await channel.post("/v1/completions", b"{}")).status == 200
    await channel.cut()


async def test_and_nowhere_else(https: str):
    channel = Channel(https)
    with pytest.raises(NotSentError):
        await channel.post("/v1/completions", b"{}")
    await channel.cut()


@pytest.mark.parametrize(("name", "said"), [("none.pem", "there is no"), ("key.pem", "no certificates")])
def test_a_file_without_certificates_is_a_fault_of_the_configuration(
    config: GuardConfig, certificate: Path, name: str, said: str
):
    engine = config.engine.model_copy(update={"url": "https://x", "ca_file": certificate / name})
    with pytest.raises(GuardConfigError, match=said):
        Fleet(config.model_copy(update={"engine": engine}), [])


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serve(Engine("one")) as channel:
        assert (await channel.post("/v1/completions", b"{}")).status == 200


async def test_a_redirection_is_not_followed():
    async def away(_: web.BaseRequest) -> web.Response:
        return web.Response(status=307, headers={"location": "http://127.0.0.1:1/"})

    async with RawTestServer(away) as server:
        channel = Channel(str(server.make_url("")), key="secret")
        assert (await channel.post("/v1/completions", b"{}")).status == 307
        await channel.cut()


async def test_an_answer_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_LARGEST_ANSWER", 1000)

    async def much(asked: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(asked)
        for _ in range(50):
            await answer.write(b"x" * 100)
        return answer

    async with RawTestServer(much) as server:
        channel = Channel(str(server.make_url("")))
        with pytest.raises(EngineUnavailableError):
            await channel.post("/v1/completions", b"{}")
        await channel.cut()


async def test_an_answer_that_takes_too_long_is_an_error():
    engine = Engine("one")
    async with serve(engine, lambda url: Channel(url, timeout_s=0.1)) as channel:
        engine.gate.clear()
        with pytest.raises(EngineUnavailableError):
            await channel.post("/v1/completions", b"{}")


async def test_a_cancelled_request_closes_its_connection():
    gone = asyncio.Event()

    async def waits(_: web.BaseRequest) -> web.Response:
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()
        return web.Response()

    async with RawTestServer(waits, handler_cancellation=True) as server:
        channel = Channel(str(server.make_url("")))
        asking = asyncio.create_task(channel.post("/v1/completions", b"{}"))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.wait_for(gone.wait(), 2)
        await channel.cut()


@pytest.mark.parametrize("kind", ["post", "stream"])
async def test_cutting_ends_what_has_begun_to_arrive(kind: str):
    begun = asyncio.Event()

    async def begins(asked: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(asked)
        await answer.write(b"x")
        begun.set()
        await asyncio.sleep(60)
        return answer

    async def ask(channel: Channel) -> None:
        if kind == "post":
            await channel.post("/v1/completions", b"{}")
            return
        async with channel.stream("/v1/completions", b"{}") as (_, pieces):
            async for _ in pieces:
                pass

    async with RawTestServer(begins, handler_cancellation=True) as server:
        channel = Channel(str(server.make_url("")))
        asking = asyncio.create_task(ask(channel))
        await begun.wait()
        await asyncio.sleep(0.05)
        await channel.cut()
        with pytest.raises(EngineUnavailableError):
            await asyncio.wait_for(asking, 2)
