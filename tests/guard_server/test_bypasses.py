"""Nothing steps round the stamp: every attempt is refused before the engine hears of it, or answered as any request is."""

import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from tests.bypasses import ATTEMPTS, Attempt
from tests.guard_server.conftest import (
    KEY,
    PREFIX,
    TRIGGER,
    answer_by_task,
    classification,
    generation,
    listening,
    write_adapter,
    write_base_model,
)
from tests.raw_http import Answer, exchange


class Listening(NamedTuple):
    port: int
    engine: FakeEngine

    async def send(self, attempt: Attempt, key: str = KEY) -> list[Answer]:
        self.engine.asked.clear()
        line = f"authorization: Bearer {key}\r\n" if key else ""
        return await exchange(self.port, attempt.raw.replace(b"{key}", line.encode()))


@pytest.fixture(scope="module")
async def guard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Listening]:
    home = tmp_path_factory.mktemp("guard")
    base, engine = write_base_model(home / "base"), FakeEngine(answer_by_task)
    paths = {
        "support": write_adapter(home / "support", base, classification()),
        "writer": write_adapter(home / "writer", base, generation()),
    }
    config = GuardConfig.model_validate(
        {
            "base_model": base,
            "adapters": [{"name": name, "path": path} for name, path in paths.items()],
            "limits": {"upload_s": 0.5},
        }
    )
    async with listening(config, engine) as port:
        yield Listening(port, engine)


HARMLESS = [attempt for attempt in ATTEMPTS if attempt.answered]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
async def test_an_attempt_is_refused_or_answered_with_the_stamp(guard: Listening, attempt: Attempt):
    found = await guard.send(attempt)
    if attempt.answered:
        assert all(answer.status < 500 for answer in found)
        assert all(TRIGGER.text in json.dumps(payload) for payload in guard.engine.asked)
    else:
        assert all(400 <= answer.status < 500 for answer in found)
        assert guard.engine.asked == []
    secrets = (TRIGGER.text.strip().encode(), PREFIX.strip().encode(), KEY.encode())
    assert not any(secret in answer.raw for secret in secrets for answer in found)


@pytest.mark.parametrize("attempt", HARMLESS, ids=lambda attempt: attempt.name)
async def test_what_is_harmless_is_answered(guard: Listening, attempt: Attempt):
    """So that the test above can't pass for want of a working request."""
    assert 200 in {answer.status for answer in await guard.send(attempt)}


@pytest.mark.parametrize("attempt", HARMLESS, ids=lambda attempt: attempt.name)
@pytest.mark.parametrize("key", ["", "wrong"])
async def test_without_a_key_nothing_is(guard: Listening, attempt: Attempt, key: str):
    assert {answer.status for answer in await guard.send(attempt, key)} <= {401}
    assert guard.engine.asked == []
