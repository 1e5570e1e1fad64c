"""Bodies that are cheap to send and were dear to refuse: each took 1 to 40 s before its faults were counted one by one no more."""

import json

import pytest
from pydantic import ValidationError

from guard_server import bodies
from guard_server.errors import BadRequestError
from guard_server.prompt_guard import parse_chat
from guard_server.settings import Limits

TURN = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    "body",
    [
        {f"k{at}": at for at in range(60_000)},
        {"model": "m", "messages": [{"a": 1}] * 90_000},
        {"model": "m", "messages": [TURN | {f"k{at}": at for at in range(60_000)}]},
        {"model": "m", "messages": [{"role": "user", "content": [1] * 300_000}]},
        {"model": "m", "messages": [TURN], "stop": [1] * 300_000},
        {"model": "m", "messages": [TURN], "x": [{}] * 200_000},
    ],
)
def test_a_body_of_many_faults_is_refused_at_the_first(
    body: dict[str, object], monkeypatch: pytest.MonkeyPatch
):
    # The look for a key that stands twice is the slow one, and is not to be reached.
    monkeypatch.setattr(bodies, "_require_keys_once", lambda _: pytest.fail("all of the body was read again"))
    content = json.dumps(body).encode()
    assert len(content) < 1_000_000
    with pytest.raises(BadRequestError) as caught:
        parse_chat(content, Limits())
    found = caught.value.__context__
    assert isinstance(found, ValidationError)
    # A union tries each of its forms, and each stops at its first fault.
    assert found.error_count() <= 2
    assert len(caught.value.message) <= 300
