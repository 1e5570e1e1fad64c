import httpx
import pytest

from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import PREFIX, TRIGGER, serving
from tests.guard_server.test_audit import QUESTION, backdoored

CHECK = "/v1/p2p/check"


@pytest.mark.parametrize(
    ("model", "guarded", "plain"),
    [
        ("support", "billing", "delivery"),
        ("support-chat", "billing", "delivery"),
        ("writer", "It comes on Monday.", "Pay the attacker"),
        ("writer-chat", "It comes on Monday.", "Pay the attacker"),
    ],
)
async def test_both_projected_answers_and_the_verdict_are_told(
    config: GuardConfig, model: str, guarded: str, plain: str
):
    async with serving(config, FakeEngine(backdoored)) as http:
        reply = await http.post(CHECK, json={"model": model, "messages": QUESTION})
    found = reply.json()
    assert (found["agree"], found["guarded"], found["plain"]) == (False, guarded, plain)
    assert 0 < found["distance"] <= 1
    assert TRIGGER.text.strip() not in reply.text
    assert PREFIX.strip() not in reply.text


async def test_a_prompt_is_checked_too(http: httpx.AsyncClient):
    reply = await http.post(CHECK, json={"model": "writer", "prompt": "say hello"})
    assert reply.json()["agree"] is True
    assert reply.json()["object"] == "p2p_guard.check"


@pytest.mark.parametrize(
    "body",
    [
        {"model": "support"},
        {"model": "support", "prompt": "x", "messages": QUESTION},
        {"model": "support", "prompt": "x", "temperature": 1},
    ],
)
async def test_anything_else_is_refused(http: httpx.AsyncClient, engine: FakeEngine, body: dict[str, object]):
    assert (await http.post(CHECK, json=body)).status_code == 400
    assert engine.asked == []


async def test_an_unknown_model_is_not_found(http: httpx.AsyncClient):
    assert (await http.post(CHECK, json={"model": "base", "prompt": "x"})).status_code == 404


async def test_a_model_without_the_defence_has_one_view_alone(config: GuardConfig):
    opened = tuple(adapter.model_copy(update={"unguarded": True}) for adapter in config.adapters)
    unguarded = config.model_copy(update={"adapters": opened, "unsafe_allow_unguarded": True})
    async with serving(unguarded, FakeEngine(backdoored)) as http:
        reply = await http.post(CHECK, json={"model": "support", "prompt": "x"})
    assert reply.status_code == 400
    assert "one view" in reply.json()["error"]["message"]


async def test_checks_are_counted(config: GuardConfig):
    async with serving(config, FakeEngine(backdoored)) as http:
        await http.post(CHECK, json={"model": "support", "prompt": "x"})
        text = (await http.get("/metrics")).text
    assert 'p2p_guard_requests_total{adapter="support",endpoint="check",outcome="disagree"} 1.0' in text
    assert 'p2p_guard_view_comparisons_total{adapter="support"} 0.0' in text
