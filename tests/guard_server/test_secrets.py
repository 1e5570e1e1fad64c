"""After a busy run: the benign trigger, the prefix, keys and prompts stand in no answer, header, error, log or metric."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
import structlog

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.errors import EngineUnavailableError
from guard_server.log import configure_logging
from guard_server.settings import GuardConfig
from tests.bypasses import ATTEMPTS, CHAT, COMPLETIONS, request
from tests.guard_server.conftest import KEY, PREFIX, TRIGGER, answer_by_task, listening
from tests.raw_http import exchange

SECRETS = (TRIGGER.text.strip(), PREFIX.strip(), KEY)
PROMPT = "my parcel is late"
HEAD = f"authorization: Bearer {KEY}\r\n".encode()


class Telling(FakeEngine):
    """An engine that fails now and then, and whose errors quote what it was asked."""

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        answer = await super().complete(endpoint, payload)
        if len(self.asked) % 5 == 3:
            raise EngineUnavailableError("no engine") from ValueError(str(payload))
        if len(self.asked) % 5 == 4:
            raise RuntimeError(str(payload) + KEY)
        return answer


def questions() -> list[bytes]:
    """Every model at both routes, plain and streamed, with what tells most of an answer."""
    import json

    found = []
    for model in ("support", "support-chat", "writer", "writer-chat", TRIGGER.text, PREFIX):
        for more in (
            {},
            {"stream": True, "stream_options": {"include_usage": True}},
            {"n": 3},
            {"stop": ["x"]},
            {"echo": True},
        ):
            chat = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}
            found.append(request(json.dumps(chat | {"logprobs": True}).encode(), CHAT))
            found.append(
                request(json.dumps({"model": model, "prompt": PROMPT, **more}).encode(), COMPLETIONS)
            )
    paths = ("/metrics", "/v1/models", "/readyz", "/livez", "/startupz", "/nothing")
    return found + [request(b"", path, "GET") for path in paths]


async def busy_run(config: GuardConfig) -> tuple[list[bytes], list[bytes]]:
    """Return every answer, and what the metrics showed in the end."""
    raws = [raw.replace(b"{key}", HEAD) for raw in questions() * 3]
    raws += [attempt.raw.replace(b"{key}", HEAD) for attempt in ATTEMPTS if not attempt.answered]
    async with listening(config, Telling(answer_by_task)) as port:
        places = asyncio.Semaphore(16)

        async def ask(raw: bytes) -> list[bytes]:
            async with places:
                return [answer.raw for answer in await exchange(port, raw)]

        answers = await asyncio.gather(*map(ask, raws))
        metrics = await ask(request(b"", "/metrics", "GET").replace(b"{key}", HEAD))
    return [raw for found in answers for raw in found], metrics


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


async def test_secrets_stand_nowhere(
    config: GuardConfig, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    configure_logging(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    limits = config.limits.model_copy(update={"upload_s": 0.5})
    answers, metrics = await busy_run(config.model_copy(update={"limits": limits}))
    logs = "".join(capfd.readouterr()) + caplog.text
    statuses = {raw.split()[1] for raw in answers}
    assert {b"200", b"400", b"404", b"500", b"503"} <= statuses
    assert "unexpected_error" in logs
    assert b"p2p_guard_requests_total" in metrics[0]
    told = b"".join(answers + metrics).decode("utf-8", "replace") + logs
    assert [secret for secret in SECRETS if secret in told] == []
    assert PROMPT not in logs
    assert PROMPT.encode() not in b"".join(metrics)
