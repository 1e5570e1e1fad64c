import base64
import hashlib

import httpx
import pytest

from guard_server.middleware.auth import AuthMiddleware


async def passes(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def status(headers: list[tuple[str, str]], path: str = "/v1/models") -> int:
    digests = tuple(hashlib.sha256(key.encode()).digest() for key in ("one", "two", "a:b", "käse"))
    transport = httpx.ASGITransport(AuthMiddleware(passes, digests, password_paths=frozenset({"/ui"})))
    async with httpx.AsyncClient(transport=transport, base_url="http://guard") as http:
        return (await http.get(path, headers=headers)).status_code


@pytest.mark.parametrize("value", ["Bearer one", "Bearer two", "bearer one", "Bearer  one"])
async def test_each_known_key_passes(value: str):
    assert await status([("authorization", value)]) == 200


@pytest.mark.parametrize(
    "value", ["", "one", "Basic one", "Bearer", "Bearer ", "Bearer three", "Bearer one,two"]
)
async def test_anything_else_does_not(value: str):
    assert await status([("authorization", value)]) == 401


async def test_two_authorization_headers_are_none():
    assert await status([("authorization", "Bearer one"), ("authorization", "Bearer bad")]) == 401


@pytest.mark.parametrize("path", ["/livez/", "//livez", "/livez/../v1/models", "/v1/models?x=/livez"])
async def test_only_the_health_paths_themselves_are_open(path: str):
    assert await status([], path) == 401
    assert await status([], "/livez") == 200


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


@pytest.mark.parametrize("credentials", ["me:one", ":two", "me:a:b", "me:käse"])
async def test_a_page_takes_the_key_as_a_password(credentials: str):
    assert await status([("authorization", basic(credentials))], "/ui") == 200
    assert await status([("authorization", basic(credentials))]) == 401


@pytest.mark.parametrize(
    "value", [basic("one:"), basic("one"), basic("me: one"), "Basic one", "Basic bWU6b25l!", "Basic"]
)
async def test_a_page_takes_no_other_password(value: str):
    assert await status([("authorization", value)], "/ui") == 401


@pytest.mark.parametrize("path", ["/ui/", "//ui", "/ui/..", "/v1/models?x=/ui", "/uix"])
async def test_only_the_page_itself_takes_one(path: str):
    assert await status([("authorization", basic("me:one"))], path) == 401
