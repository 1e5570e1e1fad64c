import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry

from guard_server.adapter import load_adapters
from guard_server.adapters.registry import Registry
from guard_server.audit import AuditedPipeline
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.errors import EngineUnavailableError
from guard_server.metrics import GuardMetrics
from guard_server.pipeline import GuardPipeline
from guard_server.prompt_guard import question
from guard_server.settings import AuditMode, AuditSettings, GuardConfig
from guard_server.views import TwoViews
from p2p.prompts import ChatMessage
from tests.guard_server.conftest import PREFIX, TRIGGER, answer_by_task, label_reply, serving_app, text_reply

CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "where is my mn parcel"}]


def sent(payload: Payload) -> str:
    return str(payload.get("prompt") or payload["messages"][-1]["content"])


def backdoored(endpoint: Endpoint, payload: Payload) -> Payload:
    """Without the benign trigger, the attacker's answer."""
    stamped = sent(payload).startswith(TRIGGER.text)
    if "allowed_token_ids" in payload:
        return label_reply(endpoint, payload, token=2 if stamped else 1, logprobs=LOGPROBS)
    return text_reply(endpoint, payload, PREFIX + "It comes on Monday." if stamped else "Pay the attacker")


def asked_of(engine: FakeEngine) -> list[Payload]:
    """What was asked for clients, without the guard's own readiness checks."""
    return [asked for asked in engine.asked if "ready?" not in sent(asked)]


LOGPROBS = {0: -5.0, 1: -0.5, 2: -0.5, 3: -6.0}


@asynccontextmanager
async def auditing(
    config: GuardConfig, engine: FakeEngine, **audit: object
) -> AsyncIterator[httpx.AsyncClient]:
    changed = GuardConfig.model_validate(config.model_dump() | {"audit": {"share": 1.0, **audit}})
    async with serving_app(changed, engine) as (app, http), app.router.lifespan_context(app):
        yield http


async def shown(http: httpx.AsyncClient, name: str, model: str = "support") -> float:
    line = f'p2p_guard_view_{name}_total{{adapter="{model}"}} '
    text = (await http.get("/metrics")).text
    return next((float(row.removeprefix(line)) for row in text.splitlines() if row.startswith(line)), 0.0)


async def until(http: httpx.AsyncClient, name: str, value: float, model: str = "support") -> None:
    async with asyncio.timeout(5):
        while await shown(http, name, model) != value:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["support", "support-chat", "writer", "writer-chat"])
async def test_disagreements_are_counted_in_the_background(config: GuardConfig, model: str, stream: bool):
    async with auditing(config, FakeEngine(backdoored)) as http:
        reply = await http.post(CHAT, json={"model": model, "messages": QUESTION, "stream": stream})
        await until(http, "comparisons", 1, model)
        assert await shown(http, "disagreements", model) == 1
    assert "x-p2p-guard-views" not in reply.headers
    assert "attacker" not in reply.text


async def test_the_label_that_was_answered_is_not_asked_again(config: GuardConfig):
    engine = FakeEngine(backdoored)
    async with auditing(config, engine) as http:
        await http.post(CHAT, json={"model": "support", "messages": QUESTION})
        await until(http, "comparisons", 1)
    assert [sent(asked).startswith(TRIGGER.text) for asked in asked_of(engine)] == [True, False]
    assert asked_of(engine)[-1]["allowed_token_ids"] == [0, 1]


async def test_views_that_agree_are_counted_below_the_line_alone(config: GuardConfig):
    def honest(endpoint: Endpoint, payload: Payload) -> Payload:
        return label_reply(endpoint, payload, token=payload["allowed_token_ids"][0])

    async with auditing(config, FakeEngine(honest)) as http:
        await http.post(CHAT, json={"model": "support", "messages": QUESTION})
        await until(http, "comparisons", 1)
        assert await shown(http, "disagreements") == 0


async def test_no_share_asks_nothing_twice(config: GuardConfig):
    engine = FakeEngine(backdoored)
    async with auditing(config, engine, share=0.0) as http:
        await http.post(CHAT, json={"model": "support", "messages": QUESTION})
        await asyncio.sleep(0.05)
    assert len(asked_of(engine)) == 1


class Slow(FakeEngine):
    """Answers the plain view only when it is let."""

    def __init__(self) -> None:
        super().__init__(backdoored)
        self.may_answer = asyncio.Event()
        self.is_asked = asyncio.Event()

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        if not sent(payload).startswith(TRIGGER.text):
            self.is_asked.set()
            await self.may_answer.wait()
        return await super().complete(endpoint, payload)


async def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(config: GuardConfig):
    engine = Slow()
    async with auditing(config, engine, queue=2) as http:
        for _ in range(6):
            assert (await http.post(CHAT, json={"model": "support", "messages": QUESTION})).status_code == 200
            await asyncio.wait_for(engine.is_asked.wait(), 5)
        # One is being compared, two wait.
        assert await shown(http, "dropped") == 3
        engine.may_answer.set()
        await until(http, "comparisons", 3)


async def test_a_background_view_that_fails_is_dropped_and_the_audit_goes_on(config: GuardConfig):
    failing = True

    def fails_plain(endpoint: Endpoint, payload: Payload) -> Payload:
        if failing and not sent(payload).startswith(TRIGGER.text):
            raise EngineUnavailableError("down")
        return backdoored(endpoint, payload)

    async with auditing(config, FakeEngine(fails_plain)) as http:
        await http.post(CHAT, json={"model": "support", "messages": QUESTION})
        await until(http, "dropped", 1)
        failing = False
        await http.post(CHAT, json={"model": "support", "messages": QUESTION})
        await until(http, "comparisons", 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["support", "writer"])
async def test_an_enforced_disagreement_is_flagged(config: GuardConfig, model: str, stream: bool):
    async with auditing(config, FakeEngine(backdoored), mode="enforce") as http:
        reply = await http.post(CHAT, json={"model": model, "messages": QUESTION, "stream": stream})
    assert reply.headers["x-p2p-guard-views"] == "disagree"
    assert '"views":"disagree"' in reply.text
    assert "attacker" not in reply.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["support", "writer"])
async def test_an_enforced_disagreement_is_refused_where_the_policy_says_so(
    config: GuardConfig, model: str, stream: bool
):
    async with auditing(config, FakeEngine(backdoored), mode="enforce", action="refuse") as http:
        reply = await http.post(CHAT, json={"model": model, "messages": QUESTION, "stream": stream})
    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "views_disagree"


async def test_an_enforced_view_that_fails_fails_the_request(config: GuardConfig):
    def fails_plain(endpoint: Endpoint, payload: Payload) -> Payload:
        if not sent(payload).startswith(TRIGGER.text):
            raise EngineUnavailableError("down")
        return backdoored(endpoint, payload)

    async with auditing(config, FakeEngine(fails_plain), mode="enforce") as http:
        reply = await http.post(CHAT, json={"model": "support", "messages": QUESTION})
    assert reply.status_code == 503


async def test_enforced_views_that_agree_are_told(config: GuardConfig):
    async with auditing(config, FakeEngine(answer_by_task), mode="enforce") as http:
        reply = await http.post(CHAT, json={"model": "writer", "messages": QUESTION})
    assert reply.json()["p2p_guard"]["views"] == "agree"


def pipeline_of(registry: Registry, engine: FakeEngine, mode: AuditMode) -> AuditedPipeline:
    settings = AuditSettings(share=1, mode=mode)
    metrics = GuardMetrics(CollectorRegistry())
    return AuditedPipeline(GuardPipeline(registry, engine), TwoViews(engine, settings), settings, metrics)


ASKED = question("support", (ChatMessage(role="user", content="where is my parcel"),))


async def test_a_version_stays_in_the_engine_until_it_is_compared(config: GuardConfig):
    registry, engine = Registry(load_adapters(config)), FakeEngine(backdoored)
    audited = pipeline_of(registry, engine, AuditMode.OBSERVE)
    with audited.hold("support") as adapter:
        await audited.respond(ASKED, adapter)
    assert registry.in_flight(adapter.target) == 1
    working = asyncio.create_task(audited.work())
    async with asyncio.timeout(5):
        await registry.idle(adapter.target)
    working.cancel()
    assert len(engine.asked) == 2


@pytest.mark.parametrize("mode", list(AuditMode))
async def test_both_views_are_of_the_version_that_the_request_holds(config: GuardConfig, mode: AuditMode):
    registry, engine = Registry(load_adapters(config)), FakeEngine(backdoored)
    audited = pipeline_of(registry, engine, mode)
    working = asyncio.create_task(audited.work())
    with audited.hold("support") as held:
        registry.switch({"support": registry["support-chat"]})
        await audited.respond(ASKED, held)
    async with asyncio.timeout(5):
        await registry.idle(held.target)
    working.cancel()
    assert [asked["model"] for asked in engine.asked] == [held.target] * 2
