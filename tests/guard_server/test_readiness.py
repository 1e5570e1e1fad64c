import pytest
from prometheus_client import CollectorRegistry

from guard_server.adapter import load_adapters
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.errors import EngineUnavailableError
from guard_server.metrics import GuardMetrics
from guard_server.pipeline import GuardPipeline
from guard_server.readiness import Readiness
from guard_server.settings import EscapePolicy, GuardConfig
from tests.guard_server.conftest import answer_by_task, label_reply, text_reply


class Engines(FakeEngine):
    """An engine some of whose models don't answer, and a clock that stands still unless moved."""

    def __init__(self) -> None:
        super().__init__(answer_by_task)
        self.down: set[str] = set()
        self.now = 0.0
        self.restarts = 0

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        if payload["model"].split("@")[0] in self.down:
            raise EngineUnavailableError("down")
        return await super().complete(endpoint, payload)


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
def readiness(config: GuardConfig, engines: Engines) -> Readiness:
    return Readiness(
        GuardPipeline(load_adapters(config), engines),
        GuardMetrics(CollectorRegistry()),
        restarts=lambda: engines.restarts,
        clock=lambda: engines.now,
    )


async def test_ready_means_that_every_adapter_has_answered(readiness: Readiness, engines: Engines):
    before = readiness.is_ready
    assert await readiness.check()
    assert (before, readiness.is_ready) == (False, True)
    assert {payload["model"].split("@")[0] for payload in engines.asked} == {
        "support",
        "support-chat",
        "writer",
        "writer-chat",
    }


async def test_one_adapter_without_an_answer_is_not_ready(readiness: Readiness, engines: Engines):
    engines.down = {"writer"}
    assert not await readiness.check()
    assert readiness.is_ready is False


async def test_traffic_to_one_engine_does_not_hide_that_another_is_silent(
    readiness: Readiness, engines: Engines
):
    await readiness.check()
    engines.now = 61
    for name in ("support", "support-chat", "writer"):
        readiness.answered(name)
    assert readiness.is_ready is False
    readiness.answered("writer-chat")
    assert readiness.is_ready is True


async def test_live_traffic_spares_the_check(readiness: Readiness, engines: Engines):
    await readiness.check()
    engines.now, before = 31, len(engines.asked)
    for name in ("support", "support-chat", "writer"):
        readiness.answered(name)
    await readiness.check()
    assert [payload["model"].split("@")[0] for payload in engines.asked[before:]] == ["writer-chat"]


async def test_a_restarted_engine_is_asked_before_it_counts(readiness: Readiness, engines: Engines):
    await readiness.check()
    engines.restarts = 1
    before = readiness.is_ready
    assert await readiness.check()
    assert (before, readiness.is_ready) == (False, True)


async def test_an_adapter_that_refuses_escapes_becomes_ready_though_the_check_escapes(config: GuardConfig):
    def escaping(endpoint: Endpoint, payload: Payload) -> Payload:
        if "allowed_token_ids" in payload:
            return label_reply(endpoint, payload)
        return text_reply(endpoint, payload, "attacker's reply")

    refusing = tuple(
        adapter.model_copy(update={"escape_policy": EscapePolicy.REFUSE}) for adapter in config.adapters
    )
    pipeline = GuardPipeline(
        load_adapters(config.model_copy(update={"adapters": refusing})), FakeEngine(escaping)
    )
    assert await Readiness(pipeline, GuardMetrics(CollectorRegistry())).check()


async def test_a_draining_guard_is_not_ready(readiness: Readiness):
    await readiness.check()
    readiness.is_draining = True
    assert readiness.is_ready is False


@pytest.fixture
def one_engine(config: GuardConfig, engines: Engines) -> Readiness:
    return Readiness(
        GuardPipeline(load_adapters(config), engines),
        GuardMetrics(CollectorRegistry()),
        clock=lambda: engines.now,
        engine_of=lambda _: "the same",
    )


async def test_the_idle_adapters_of_one_engine_cost_one_question(one_engine: Readiness, engines: Engines):
    await one_engine.check()
    engines.now, before = 31, len(engines.asked)
    assert await one_engine.check()
    assert len(engines.asked) == before + 1
    engines.now = 61
    assert one_engine.is_ready is True


async def test_an_engine_that_answers_for_none_of_its_adapters_is_not_ready(
    one_engine: Readiness, engines: Engines
):
    await one_engine.check()
    engines.down = {"support", "support-chat", "writer", "writer-chat"}
    engines.now = 61
    await one_engine.check()
    assert one_engine.is_ready is False


async def test_idle_adapters_of_one_engine_are_asked_in_turn(one_engine: Readiness, engines: Engines):
    await one_engine.check()
    before = len(engines.asked)
    for round_ in range(1, 5):
        engines.now = 31 * round_
        await one_engine.check()
    assert len({payload["model"] for payload in engines.asked[before:]}) == 4
