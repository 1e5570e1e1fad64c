"""The status page: who may read it, what goes with it, and what does not stand in it."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.guard_server.adapters.conftest import ADMIN_KEY, Guarded, versions
from tests.guard_server.conftest import KEY
from tests.guard_server.status.troubled import HOSTILE, SECRETS, Versions, troubled, troubled_config

__all__ = ["versions"]


@pytest.fixture
async def guarded(tmp_path: Path, base_model: Path, versions: Versions) -> AsyncIterator[Guarded]:
    config = troubled_config(tmp_path, base_model, versions)
    async with troubled(config, versions, tmp_path) as found:
        yield found


def basic(password: str, user: str = "admin") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def answer(guarded: Guarded, given: str, path: str = "/ui", method: str = "GET") -> httpx.Response:
    return await guarded.admin.request(method, path, headers={"authorization": given})


async def test_the_admin_key_opens_it_as_a_password_or_a_bearer_key(guarded: Guarded):
    for given in (basic(ADMIN_KEY), basic(ADMIN_KEY, ""), f"Bearer {ADMIN_KEY}"):
        reply = await answer(guarded, given)
        assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "<h1>Status</h1>" in reply.text


async def test_anything_else_is_401_and_asks_for_the_password(guarded: Guarded):
    wrong = [
        basic(""),
        basic(KEY),
        basic("x", ADMIN_KEY),
        f"Bearer {KEY}",
        f"Basic {ADMIN_KEY}",
        "Basic =",
        "",
    ]
    for given in wrong:
        reply = await answer(guarded, given)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith('Basic realm="p2p-guard')
        assert reply.headers["cache-control"] == "no-store"
        assert "writer" not in reply.text


async def test_no_other_path_takes_a_password(guarded: Guarded):
    """A browser that knows the password sends it on the whole origin, also where another site's form leads it."""
    for method, path in (
        ("GET", "/admin/v1/adapters"),
        ("POST", "/admin/v1/adapters/writer/rollback"),
        ("GET", "/ui/"),
        ("GET", "/ui/x"),
    ):
        reply = await answer(guarded, basic(ADMIN_KEY), path, method)
        assert (reply.status_code, "www-authenticate" in reply.headers) == (401, False)


async def test_it_takes_nothing(guarded: Guarded):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await answer(guarded, basic(ADMIN_KEY), method=method)).status_code == 405


async def test_its_headers_let_in_its_own_style_alone(guarded: Guarded):
    reply = await answer(guarded, basic(ADMIN_KEY))
    (style,) = re.findall(r"<style>(.*?)</style>", reply.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert reply.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    wanted = {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cross-origin-resource-policy": "same-origin",
    }
    assert {name: reply.headers[name] for name in wanted} == wanted
    assert "access-control-allow-origin" not in reply.headers


async def test_it_has_no_script_no_form_and_no_asset(guarded: Guarded):
    text = (await answer(guarded, basic(ADMIN_KEY))).text
    assert re.findall(r"<(?:script|form|input|button|img|link|iframe|object)\b|\bsrc=|\bstyle=", text) == [
        # What a hostile path says, as text.
        "src="
    ]
    assert set(re.findall(r'href="([^"]*)"', text)) == {"/ui"}


async def test_names_and_messages_are_text(guarded: Guarded):
    text = (await answer(guarded, basic(ADMIN_KEY))).text
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)&lt;|script&gt;&lt;img src=x onerror=alert(2)&gt;" in text


async def test_no_secret_stands_in_it(guarded: Guarded):
    text = (await answer(guarded, basic(ADMIN_KEY))).text
    assert [secret for secret in (*SECRETS, ADMIN_KEY, KEY) if secret in text] == []


async def test_the_metrics_listener_and_the_users_have_no_page(guarded: Guarded):
    from guard_server.side_apps import create_metrics_app

    app = create_metrics_app(guarded.app.state.metrics, guarded.app.state.readiness)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        assert (await http.get("/ui", headers={"authorization": basic(ADMIN_KEY)})).status_code == 404
    assert (await guarded.http.get("/ui")).status_code == 404
