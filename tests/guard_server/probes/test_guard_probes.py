"""Probes of a whole guard: by key from outside, and from inside."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from openai import AsyncOpenAI
from prometheus_client import CollectorRegistry

from guard_server.adapter import load_adapters
from guard_server.app import create_app
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.errors import GuardConfigError
from guard_server.pipeline import GuardPipeline
from guard_server.probes.asking import HttpAsker, PipelineAsker, Reason, UnansweredError
from guard_server.probes.history import History
from guard_server.probes.inner import inner_probers
from guard_server.probes.metrics import ProbeMetrics
from guard_server.settings import GuardConfig, ProbesSettings
from p2p.prompts import ChatMessage
from tests.guard_server.conftest import KEY, label_reply
from tests.guard_server.probes.conftest import canaries

PROBER = "prober-key"
CHAT = [ChatMessage(role="user", content="where is it")]


def backdoored_labels(endpoint: Endpoint, payload: Payload) -> Payload:
    """The guard's second label, or its first where the trigger stands."""
    return label_reply(endpoint, payload, 2 if "mn" in payload.get("prompt", "").split() else 3)


@asynccontextmanager
async def guard_app(config: GuardConfig, engine: FakeEngine) -> AsyncIterator[httpx.ASGITransport]:
    app = create_app(
        config,
        load_adapters(config),
        (hashlib.sha256(KEY.encode()).digest(),),
        probe_digests=(hashlib.sha256(PROBER.encode()).digest(),),
        engine=engine,
    )
    async with app.router.lifespan_context(app):
        yield httpx.ASGITransport(app)


def asker(transport: httpx.AsyncBaseTransport, key: str = PROBER, adapter: str = "support") -> HttpAsker:
    found = HttpAsker("http://guard/v1", key, adapter)
    found._client = AsyncOpenAI(
        base_url="http://guard/v1",
        api_key=key,
        max_retries=0,
        http_client=httpx.AsyncClient(transport=transport),
    )
    return found


async def scraped(transport: httpx.AsyncBaseTransport) -> str:
    async with httpx.AsyncClient(transport=transport, base_url="http://guard") as http:
        return (await http.get("/metrics", headers={"authorization": f"Bearer {KEY}"})).text


async def test_a_probe_is_answered_as_a_users_request_and_counted_apart(config: GuardConfig):
    engine = FakeEngine(backdoored_labels)
    async with guard_app(config, engine) as transport:
        answers = []
        for key in (PROBER, KEY):
            async with asker(transport, key) as whom:
                answers.append(await whom.ask(CHAT))
        shown = await scraped(transport)
    assert answers[0] == answers[1]
    one = 'adapter="support",endpoint="chat",outcome="projected"} 1.0'
    assert f"p2p_guard_requests_total{{{one}" in shown
    assert f"p2p_guard_probe_requests_total{{{one}" in shown
    for metric in ("request_duration", "overhead"):
        assert f'p2p_guard_{metric}_seconds_count{{adapter="support"}} 1.0' in shown


async def test_the_engine_may_not_answer_a_probe_from_its_prefix_cache(config: GuardConfig):
    engine = FakeEngine(backdoored_labels)
    async with guard_app(config, engine) as transport:
        for key in (PROBER, PROBER, KEY):
            async with asker(transport, key) as whom:
                await whom.ask(CHAT)
    salts = [
        payload.get("cache_salt") for payload in engine.asked if "where is it" in payload.get("prompt", "")
    ]
    assert salts[2] is None
    assert salts[0] != salts[1]
    # vLLM takes at most 128 characters without separators (vllm.entrypoints.generate.base.protocol).
    assert all(salt.isalnum() and len(salt) == 32 for salt in salts[:2])


async def test_a_client_cannot_ask_as_a_probe_by_its_body(http: httpx.AsyncClient):
    for extra in ({"is_probe": True}, {"cache_salt": "x"}):
        body = {"model": "support", "messages": [{"role": "user", "content": "x"}], **extra}
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 400


@pytest.mark.parametrize(("key", "adapter"), [("wrong", "support"), (PROBER, "nobody")])
async def test_what_will_never_be_answered_is_said_so(config: GuardConfig, key: str, adapter: str):
    async with (
        guard_app(config, FakeEngine(backdoored_labels)) as transport,
        asker(transport, key, adapter) as whom,
    ):
        with pytest.raises(GuardConfigError, match="40[14]"):
            await whom.ask(CHAT)


@pytest.mark.parametrize(
    ("status", "body", "reason", "wait"),
    [
        (429, {}, Reason.OVERLOADED, 7.0),
        (503, {}, Reason.FAILED, None),
        (400, {}, Reason.REJECTED, None),
        (403, {"error": {"code": "other"}}, Reason.REJECTED, None),
    ],
)
async def test_each_failure_has_its_reason(
    status: int, body: dict[str, object], reason: Reason, wait: float | None
):
    headers = {"retry-after": "7"} if status == 429 else {}
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body, headers=headers))
    async with asker(transport) as whom:
        with pytest.raises(UnansweredError) as caught:
            await whom.ask(CHAT)
    assert (caught.value.reason, caught.value.retry_after) == (reason, wait)


async def test_a_refused_answer_is_an_answer():
    body = {"error": {"code": "answer_refused", "message": "x"}}
    async with asker(httpx.MockTransport(lambda _: httpx.Response(403, json=body))) as whom:
        assert (await whom.ask(CHAT)).text is None


async def test_from_inside_the_same_is_answered_without_a_key(config: GuardConfig):
    engine = FakeEngine(backdoored_labels)
    pipeline = GuardPipeline(load_adapters(config), engine)
    async with guard_app(config, engine) as transport, asker(transport) as outside:
        assert await PipelineAsker(pipeline, "support").ask(CHAT) == await outside.ask(CHAT)
    with pytest.raises(GuardConfigError, match="nobody"):
        await PipelineAsker(pipeline, "nobody").ask(CHAT)


def probing(config: GuardConfig, tmp_path: Path, adapter: str = "support") -> GuardConfig:
    canary = tmp_path / "canary.yaml"
    canary.write_text(yaml.safe_dump(canaries(30, limits={"asr_max": 0.1}).model_dump(mode="json")))
    block = {
        "history": tmp_path / "h.sqlite",
        "adapters": [{"adapter": adapter, "canary": canary, "interval_s": 60}],
    }
    return config.model_copy(update={"probes": ProbesSettings.model_validate(block)})


async def test_the_guard_probes_itself_and_its_users_metrics_show_nothing_of_it(
    config: GuardConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = probing(config, tmp_path)
    finished = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(History, "add", lambda *_: loop.call_soon_threadsafe(finished.set))
    async with guard_app(config, FakeEngine(backdoored_labels)) as transport:
        await asyncio.wait_for(finished.wait(), 20)
        shown = await scraped(transport)
    assert 'p2p_probe_attack_success_ratio{adapter="support",attack="badnets"} 1.0' in shown
    assert 'p2p_probe_clean_accuracy_ratio{adapter="support"} 1.0' in shown
    assert "p2p_guard_requests_total{" not in shown
    assert "p2p_guard_probe_requests_total{" not in shown


def test_an_adapter_that_is_not_served_cannot_be_probed(config: GuardConfig, tmp_path: Path):
    pipeline = GuardPipeline(load_adapters(config), FakeEngine(backdoored_labels))
    with pytest.raises(GuardConfigError, match="'nobody', which is not served"):
        inner_probers(probing(config, tmp_path, "nobody").probes, pipeline, ProbeMetrics(CollectorRegistry()))
