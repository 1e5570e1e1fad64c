"""The admin API and the verbs that speak it."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from guard_server.adapters_cli import adapters as verbs
from guard_server.errors import GuardConfigError
from guard_server.settings import AdminSettings, AuthSettings, MetricsSettings
from guard_server.side_apps import create_admin_app, create_metrics_app, side_apps
from tests.guard_server.adapters.conftest import ADMIN_KEY, Guarded, guarding, writer_config
from tests.guard_server.conftest import KEY

Versions = Callable[[str], Path]
ROOT = "/admin/v1/adapters"


@pytest.fixture
async def guarded(tmp_path: Path, base_model: Path, versions: Versions) -> AsyncIterator[Guarded]:
    async with guarding(writer_config(tmp_path, base_model, versions("one"))) as found:
        yield found


async def test_a_version_is_loaded_promoted_and_rolled_back(guarded: Guarded, versions: Versions):
    loaded = await guarded.admin.post(f"{ROOT}/writer/load", json={"source": str(versions("two"))})
    assert (loaded.status_code, loaded.json()["state"]) == (200, "staged")
    assert await guarded.says() == "one"
    await guarded.admin.post(f"{ROOT}/writer/promote")
    assert await guarded.says() == "two"
    (listed,) = (await guarded.admin.get(ROOT)).json()["data"]
    assert (listed["version"], listed["state"]) == (loaded.json()["version"], "serving")
    await guarded.admin.post(f"{ROOT}/writer/rollback")
    assert await guarded.says() == "one"
    events = (await guarded.admin.get(f"{ROOT}/writer/history")).json()["data"]
    kinds = [event["kind"] for event in events]
    assert kinds == ["loaded", "promoted", "loaded", "rolled_back"]
    assert {event["actor"] for event in events} == {"admin"}


async def test_what_the_state_does_not_allow_is_409(guarded: Guarded):
    for verb in ("promote", "rollback", "unload"):
        assert (await guarded.admin.post(f"{ROOT}/writer/{verb}")).status_code == 409


async def test_a_refused_version_is_422_with_its_reason(guarded: Guarded, tmp_path: Path):
    reply = await guarded.admin.post(f"{ROOT}/writer/load", json={"source": str(tmp_path / "nowhere")})
    assert reply.status_code == 422
    assert reply.json()["error"]["code"] == "version_refused"
    assert reply.json()["error"]["message"].startswith("source: ")


@pytest.mark.parametrize("body", ['{"path": "/"}', "[]", "{", '{"source": 1}', '{"source": ""}'])
async def test_a_faulty_body_is_400(guarded: Guarded, body: str):
    assert (await guarded.admin.post(f"{ROOT}/writer/load", content=body)).status_code == 400


async def test_a_name_that_guard_yaml_has_not_is_404(guarded: Guarded):
    for path in ("other/load", "other/promote", "other/rollback", "other/unload"):
        assert (await guarded.admin.post(f"{ROOT}/{path}")).status_code == 404
    assert (await guarded.admin.get(f"{ROOT}/other/history")).status_code == 404


async def test_the_admin_api_takes_admin_keys_alone(guarded: Guarded):
    for key in (KEY, "", "other"):
        found = await guarded.admin.get(ROOT, headers={"authorization": f"Bearer {key}"})
        assert found.status_code == 401
    assert (await guarded.http.get(ROOT)).status_code == 404
    assert (await guarded.http.get(ROOT, headers={"authorization": f"Bearer {ADMIN_KEY}"})).status_code == 401
    assert (await guarded.admin.post("/v1/chat/completions", json={})).status_code == 404


async def test_without_a_key_there_is_no_admin_api(guarded: Guarded):
    with pytest.raises(ValueError, match="needs a key"):
        create_admin_app(guarded.lifecycle, ())


async def test_a_clients_key_is_no_admin_key(
    guarded: Guarded, tmp_path: Path, base_model: Path, monkeypatch: pytest.MonkeyPatch
):
    config = writer_config(tmp_path, base_model, tmp_path / "one" / "writer")
    state = guarded.app.state
    monkeypatch.setenv("P2P_GUARD_API_KEYS", "a,b")
    assert side_apps(config, guarded.lifecycle, state.metrics, state.readiness) == {}
    admin = config.model_copy(update={"admin": AdminSettings(listen="127.0.0.1:1")})
    monkeypatch.setenv("P2P_GUARD_ADMIN_KEYS", "b")
    with pytest.raises(GuardConfigError, match="keys of its own"):
        side_apps(admin, guarded.lifecycle, state.metrics, state.readiness)
    monkeypatch.delenv("P2P_GUARD_ADMIN_KEYS")
    with pytest.raises(GuardConfigError, match="P2P_GUARD_ADMIN_KEYS"):
        side_apps(admin, guarded.lifecycle, state.metrics, state.readiness)
    monkeypatch.setenv("P2P_GUARD_ADMIN_KEYS", "c")
    both = admin.model_copy(update={"metrics": MetricsSettings(listen="127.0.0.1:2"), "auth": AuthSettings()})
    assert set(side_apps(both, guarded.lifecycle, state.metrics, state.readiness)) == {
        "127.0.0.1:1",
        "127.0.0.1:2",
    }


async def test_the_metrics_listener_has_metrics_and_health_and_nothing_else(guarded: Guarded):
    app = create_metrics_app(guarded.app.state.metrics, guarded.app.state.readiness)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        found = {
            path: (await http.get(path)).status_code
            for path in (
                "/metrics",
                "/livez",
                "/readyz",
                "/startupz",
                "/v1/models",
                ROOT,
                "/docs",
                "/openapi.json",
            )
        }
    assert found == {"/metrics": 200, "/livez": 200, "/readyz": 503, "/startupz": 503} | dict.fromkeys(
        ("/v1/models", ROOT, "/docs", "/openapi.json"), 404
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, list[httpx.Request]]]:
    def call(
        *arguments: str, status: int = 200, answer: object = None
    ) -> tuple[int, str, list[httpx.Request]]:
        seen: list[httpx.Request] = []

        def request(method: str, url: str, **more: object) -> httpx.Response:
            seen.append(httpx.Request(method, url, headers=more["headers"], json=more["json"]))
            return httpx.Response(status, json=answer)

        monkeypatch.setattr(httpx, "request", request)
        monkeypatch.setenv("P2P_GUARD_ADMIN_KEYS", "first,second")
        found = CliRunner().invoke(verbs, arguments)
        return found.exit_code, found.output, seen

    return call


def test_the_verbs_ask_the_admin_api(run: Callable[..., tuple[int, str, list[httpx.Request]]]):
    code, said, (asked,) = run(
        "load", "team/support", "--source", "s3://b/k", answer={"adapter": "x", "version": "0123"}
    )
    assert (code, asked.method, asked.url.path) == (0, "POST", "/admin/v1/adapters/team/support/load")
    assert json.loads(asked.content) == {"source": "s3://b/k"}
    assert asked.headers["authorization"] == "Bearer first"
    assert "version: 0123" in said


@pytest.mark.parametrize(("status", "code"), [(409, 1), (422, 1), (401, 2), (404, 2)])
def test_a_refusal_is_exit_1_and_a_wrong_call_2(
    run: Callable[..., tuple[int, str, list[httpx.Request]]], status: int, code: int
):
    found, said, _ = run("promote", "support", status=status, answer={"error": {"message": "because"}})
    assert found == code
    assert "because" in said


def test_the_list_is_a_table_or_json(run: Callable[..., tuple[int, str, list[httpx.Request]]]):
    columns = ("name", "state", "healthy", "version", "staged", "previous", "in_flight", "source")
    row = dict.fromkeys(columns) | {"name": "support"}
    assert json.loads(run("list", "--json", answer={"data": [row]})[1]) == [row]
    assert "support" in run("list", answer={"data": [row]})[1]
