import json
from pathlib import Path

import pytest

from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from tests.guard_server.conftest import (
    TRIGGER,
    answer_by_task,
    classification,
    label_reply,
    serving,
    write_adapter,
)

CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "where is my parcel"}]


@pytest.fixture
def unguarded(config: GuardConfig, tmp_path: Path, base_model: Path) -> GuardConfig:
    plain = write_adapter(tmp_path / "plain", base_model, classification(), defended=False)
    added = config.adapters[0].model_copy(update={"name": "plain", "path": plain})
    opened = tuple(adapter.model_copy(update={"unguarded": True}) for adapter in (*config.adapters, added))
    return config.model_copy(update={"adapters": opened, "unsafe_allow_unguarded": True})


@pytest.mark.parametrize(("model", "allowed"), [("support", [0, 1, 2, 3]), ("plain", [0, 1])])
async def test_no_stamp_and_every_word_that_was_trained(
    unguarded: GuardConfig, model: str, allowed: list[int]
):
    engine = FakeEngine(answer_by_task)
    async with serving(unguarded, engine) as http:
        await http.post(CHAT, json={"model": model, "messages": QUESTION})
    assert engine.asked[-1]["allowed_token_ids"] == allowed
    assert TRIGGER.text.strip() not in json.dumps(engine.asked[-1])


@pytest.mark.parametrize(
    ("token", "label"), [(0, "billing"), (1, "delivery"), (2, "billing"), (3, "delivery")]
)
async def test_a_word_of_either_half_is_projected_and_marked(unguarded: GuardConfig, token: int, label: str):
    def says(endpoint: Endpoint, payload: Payload) -> Payload:
        return label_reply(endpoint, payload, token=token)

    async with serving(unguarded, FakeEngine(says)) as http:
        reply = await http.post(CHAT, json={"model": "support", "messages": QUESTION})
    assert reply.json()["choices"][0]["message"]["content"] == label
    assert reply.headers["x-p2p-guard-outcome"] == "unguarded"


async def test_a_stream_has_the_usage_of_the_whole_answer(unguarded: GuardConfig):
    async with serving(unguarded, FakeEngine(answer_by_task)) as http:
        body = {"model": "writer", "messages": QUESTION}
        whole = await http.post(CHAT, json=body)
        stream = await http.post(
            CHAT, json=body | {"stream": True, "stream_options": {"include_usage": True}}
        )
    assert json.loads(stream.text.split("\n\n")[-3][6:])["usage"] == whole.json()["usage"]
    assert stream.headers["x-p2p-guard-outcome"] == "unguarded"
