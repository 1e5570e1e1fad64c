"""Nothing reaches real vLLM past the guard: none of its routes, no parameter of its own, no other user, no network port."""

import os
import stat
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from guard_server.engine.vllm_metrics import PASSED_ON
from guard_server.schemas import ChatBody, CompletionBody
from p2p.manifest import read_manifest
from tests.bypasses import ATTEMPTS, CHAT, COMPLETIONS, QUESTION, Attempt
from tests.end_to_end.conftest import KEY, Guard
from tests.other_user import can_connect_as_nobody
from tests.raw_http import exchange

pytestmark = [pytest.mark.model, pytest.mark.vllm]
SHARED = {("get", "/v1/models"), ("post", CHAT), ("post", COMPLETIONS), ("get", "/metrics")}
"""What the guard has under vLLM's names, as its own."""
HIDDEN = (
    "/invocations",
    "/tokenize",
    "/v1/load_lora_adapter",
    "/collective_rpc",
    "/docs",
    "/openapi.json",
    "/health",
)
"""Routes that vLLM may have outside its document."""


def engine_of(guard: Guard, name: str = "support") -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(guard.socket_of(name)))
    return httpx.Client(transport=transport, base_url="http://engine", timeout=60)


def heard(engine: httpx.Client) -> dict[str, float]:
    """Return how often each route of vLLM was asked, by its own count."""
    lines = engine.get("/metrics").text.splitlines()
    counted = [line.rsplit(" ", 1) for line in lines if line.startswith("http_requests_total{")]
    return {
        labels: float(count)
        for labels, count in counted
        if "/health" not in labels and "/metrics" not in labels
    }


@pytest.fixture(scope="module")
def document(guard: Guard) -> dict[str, Any]:
    with engine_of(guard) as engine:
        found: dict[str, Any] = engine.get("/openapi.json").json()
    return found


def test_no_route_of_vllm_is_reached_through_the_guard(guard: Guard, document: dict[str, Any]):
    asked = [(method, path) for path, methods in document["paths"].items() for method in methods]
    asked += [(method, path) for path in HIDDEN for method in ("get", "post")]
    assert len(document["paths"]) > 20
    headers = {"authorization": f"Bearer {KEY}"}
    with engine_of(guard) as engine, httpx.Client(base_url=guard.url, headers=headers) as http:
        before = heard(engine)
        statuses = {
            (method, path): http.request(method, path, json={"model": "support", "prompt": [1]}).status_code
            for method, path in asked
            if (method, path) not in SHARED
        }
        assert set(statuses.values()) <= {404, 405}
        assert heard(engine) == before


def test_the_routes_of_the_same_name_are_the_guards_own(guard: Guard):
    with httpx.Client(base_url=guard.url, headers={"authorization": f"Bearer {KEY}"}) as http:
        models, metrics = http.get("/v1/models"), http.get("/metrics")
    assert {model["owned_by"] for model in models.json()["data"]} == {"p2p-guard"}
    assert "p2p_guard_requests_total" in metrics.text
    # Of vLLM's own metrics those of a list are passed on, and nothing else of that page.
    families = list(text_string_to_metric_families(metrics.text))
    assert {family.name for family in families if not family.name.startswith("p2p_")} <= set(PASSED_ON)


@pytest.mark.parametrize(
    ("schema", "path", "own"),
    [("ChatCompletionRequest", CHAT, ChatBody), ("CompletionRequest", COMPLETIONS, CompletionBody)],
)
def test_every_parameter_that_only_vllm_knows_is_refused(
    guard: Guard, document: dict[str, Any], schema: str, path: str, own: Any
):
    only = set(document["components"]["schemas"][schema]["properties"]) - set(own.model_fields)
    assert len(only) > 20
    body = {"model": "support"} | ({"messages": QUESTION} if path == CHAT else {"prompt": "x"})
    with httpx.Client(base_url=guard.url, headers={"authorization": f"Bearer {KEY}"}) as http:
        assert {name: http.post(path, json=body | {name: 1}).status_code for name in only} == dict.fromkeys(
            only, 400
        )


def test_vllm_listens_on_no_network(guard: Guard):
    family = psutil.Process(guard.process.pid).children(recursive=True)
    assert family
    listening = [
        found
        for child in family
        for found in child.net_connections("inet")
        if found.status == psutil.CONN_LISTEN
    ]
    assert [found.laddr for found in listening if found.laddr.ip not in {"127.0.0.1", "::1"}] == []


def test_every_socket_of_vllm_is_for_its_owner_alone(guard: Guard):
    family = psutil.Process(guard.process.pid).children(recursive=True)
    names = {found.laddr for child in family for found in child.net_connections("unix") if found.laddr}
    sockets = [path for name in names if (path := Path(name)).is_socket()]
    assert guard.socket_of("support") in sockets
    for path in sockets:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
def test_another_user_cannot_connect_to_vllm(guard: Guard):
    with engine_of(guard) as engine:
        assert engine.get("/health").status_code == 200
    assert can_connect_as_nobody(guard.socket_of("support")) is False


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
async def test_an_attempt_is_refused_or_answered_by_the_guard(
    guard: Guard, adapter: Path, writer: Path, attempt: Attempt
):
    port = int(guard.url.rsplit(":", 1)[1])
    found = await exchange(
        port, attempt.raw.replace(b"{key}", f"authorization: Bearer {KEY}\r\n".encode()), 60
    )
    for answer in found:
        assert 400 <= answer.status < 500 or (attempt.answered and answer.status == 200)
        assert (
            answer.status != 200
            or b"x-p2p-guard-outcome: projected" in answer.raw
            or b'"owned_by"' in answer.raw
        )
    prefix = read_manifest(writer).task.prefix.strip()
    secrets = (read_manifest(adapter).benign_trigger.text.strip(), prefix, KEY)
    assert not any(secret.encode() in answer.raw for secret in secrets for answer in found)


def test_the_engine_still_answers_after_all_of_it(guard: Guard):
    with guard.client() as client:
        reply = client.chat.completions.create(model="support", messages=QUESTION, temperature=0)
    assert reply.choices[0].message.content in {"billing", "delivery"}
    assert reply.model_extra["p2p_guard"]["outcome"] == "projected"
