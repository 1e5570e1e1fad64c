"""Nothing steps round the stamp: every attempt is refused before the engine hears of it, or answered as any request is."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from tests.bypasses import ATTEMPTS, Attempt
from tests.guard_server.conftest import (
    KEY,
    TRIGGER,
    answer_by_task,
    classification,
    generation,
    listening,
    write_adapter,
    write_base_model,
)
from tests.raw_http import statuses


class Listening(NamedTuple):
    port: int
    engine: FakeEngine
    capabilities: Path


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
        yield Listening(port, engine, home)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
async def test_an_attempt_is_refused_or_answered_with_the_stamp(guard: Listening, attempt: Attempt):
    guard.engine.asked.clear()
    key = f"authorization: Bearer {KEY}\r\n".encode()
    found = await statuses(guard.port, attempt.raw.replace(b"{key}", key))
    if attempt.answered:
        assert all(status < 500 for status in found)
        assert all(TRIGGER.text in json.dumps(payload) for payload in guard.engine.asked)
    else:
        assert all(400 <= status < 500 for status in found)
        assert guard.engine.asked == []


@pytest.mark.parametrize(
    "attempt", [attempt for attempt in ATTEMPTS if attempt.answered], ids=lambda attempt: attempt.name
)
async def test_what_is_harmless_is_answered(guard: Listening, attempt: Attempt):
    """So that the test above can't pass for want of a working request."""
    key = f"authorization: Bearer {KEY}\r\n".encode()
    assert 200 in await statuses(guard.port, attempt.raw.replace(b"{key}", key))


@pytest.mark.parametrize(
    "attempt", [attempt for attempt in ATTEMPTS if attempt.answered], ids=lambda attempt: attempt.name
)
async def test_without_a_key_nothing_is(guard: Listening, attempt: Attempt):
    guard.engine.asked.clear()
    assert set(await statuses(guard.port, attempt.raw.replace(b"{key}", b""))) <= {401}
    assert guard.engine.asked == []
