"""Label words of several tokens, and new ones, behind a guard: how the engine is held, and what is told of it."""

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tokenizers import AddedToken, Tokenizer

from guard_server.adapter import load_adapters
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.engine.fleet import Fleet
from guard_server.errors import GuardConfigError
from guard_server.first_token import FirstTokenHold
from guard_server.settings import GuardConfig
from p2p.errors import BaseModelMismatchError, LabelWordsError
from p2p.prompts import PromptKind
from p2p.tasks import ClassificationTask
from tests.guard_server.conftest import LABELS, label_reply, serving, text_reply, write_adapter

CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "where is my parcel"}]
# The tests' tokenizer has one token a word of "0 1 2 3": these are told apart by their first tokens, ...
APART = ("0 0", "1 0", "2 0", "3 0")
# ... and these by both.
ALIKE = ("0 0", "0 1", "2 0", "2 1")


def spelled(words: tuple[str, ...]) -> ClassificationTask:
    ids = tuple(tuple(int(token) for token in word.split()) for word in words)
    return ClassificationTask(labels=LABELS, words=words, token_ids=ids, answer_context="input\nAnswer: ")


def config_of(tmp_path: Path, base_model: Path, adapters: dict[str, Path], **more: Any) -> GuardConfig:
    listed = [{"name": name, "path": path} | more for name, path in adapters.items()]
    given = {"base_model": base_model, "adapters": listed, "cache": tmp_path / "cache"}
    return GuardConfig.model_validate(given | {"unsafe_allow_unguarded": bool(more)})


@pytest.fixture
def words(tmp_path: Path, base_model: Path) -> dict[str, Path]:
    return {
        "apart": write_adapter(tmp_path / "apart", base_model, spelled(APART)),
        "alike": write_adapter(tmp_path / "alike", base_model, spelled(ALIKE)),
        "alike-chat": write_adapter(tmp_path / "alike-chat", base_model, spelled(ALIKE), PromptKind.CHAT),
    }


def says(endpoint: Endpoint, payload: Payload) -> Payload:
    if "structured_outputs" in payload:
        return text_reply(endpoint, payload, payload["structured_outputs"]["choice"][-1])
    return label_reply(endpoint, payload)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(says)


@pytest.fixture
async def http(
    tmp_path: Path, base_model: Path, words: dict[str, Path], engine: FakeEngine
) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(config_of(tmp_path, base_model, words), engine) as client:
        yield client


async def ask(http: httpx.AsyncClient, model: str, **more: Any) -> dict[str, Any]:
    reply = await http.post(CHAT, json={"model": model, "messages": QUESTION} | more)
    return {"status": reply.status_code, **reply.json()}


async def test_words_that_begin_apart_are_held_by_their_first_tokens(
    http: httpx.AsyncClient, engine: FakeEngine
):
    reply = await ask(http, "apart", logprobs=True, top_logprobs=2)
    assert reply["choices"][0]["message"]["content"] == "billing"
    (asked,) = engine.asked
    assert (asked["allowed_token_ids"], asked["logprob_token_ids"]) == ([2, 3], [0, 1, 2, 3])
    assert asked["max_tokens"] == 1
    assert "structured_outputs" not in asked
    # Independent of the code: sigmoid of the difference of -0.5 and -1.5.
    top = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    assert {entry["token"]: math.exp(entry["logprob"]) for entry in top} == pytest.approx(
        {"billing": 0.7310585786, "delivery": 0.2689414214}
    )
    assert reply["p2p_guard"]["free_run_extended"] is True


@pytest.mark.parametrize("model", ["alike", "alike-chat"])
async def test_words_that_begin_alike_are_held_whole(http: httpx.AsyncClient, engine: FakeEngine, model: str):
    reply = await ask(http, model)
    assert reply["choices"][0]["message"]["content"] == "delivery"
    assert reply["choices"][0]["finish_reason"] == "stop"
    (asked,) = engine.asked
    assert asked["structured_outputs"] == {"choice": ["2 0", "2 1"]}
    # "2 0" is three bytes, and no engine takes more tokens than bytes.
    assert (asked["max_tokens"], asked["temperature"]) == (3, 0)
    assert "allowed_token_ids" not in asked


async def test_of_words_that_begin_alike_nothing_is_told_that_is_not_known(http: httpx.AsyncClient):
    reply = await ask(http, "alike")
    assert reply["p2p_guard"]["outcome"] == "projected"
    assert reply["p2p_guard"]["free_run_extended"] is None
    assert reply["choices"][0]["logprobs"] is None


@pytest.mark.parametrize("stream", [False, True])
async def test_their_log_probabilities_are_refused_with_the_reason(
    http: httpx.AsyncClient, engine: FakeEngine, *, stream: bool
):
    reply = await ask(http, "alike", logprobs=True, stream=stream)
    assert reply["status"] == 400
    assert reply["error"]["param"] == "logprobs"
    assert "more tokens than the engine gives log-probabilities of" in reply["error"]["message"]
    assert engine.asked == []


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [("0 1", 403, "answer_refused"), ("2", 503, "engine_unavailable"), (None, 503, "engine_unavailable")],
)
async def test_an_engine_that_does_not_keep_the_words_is_not_believed(
    tmp_path: Path, base_model: Path, words: dict[str, Path], said: Any, status: int, code: str
):
    engine = FakeEngine(lambda endpoint, payload: text_reply(endpoint, payload, said))
    async with serving(config_of(tmp_path, base_model, words), engine) as http:
        for model in ("alike", "alike-chat"):
            reply = await ask(http, model)
            assert (reply["status"], reply["error"]["code"]) == (status, code)


async def test_unguarded_the_engine_is_held_to_the_words_of_both_halves(
    tmp_path: Path, base_model: Path, words: dict[str, Path], engine: FakeEngine
):
    async with serving(config_of(tmp_path, base_model, words, unguarded=True), engine) as http:
        reply = await ask(http, "alike")
    assert engine.asked[0]["structured_outputs"] == {"choice": list(ALIKE)}
    assert reply["p2p_guard"]["outcome"] == "unguarded"


def many_labels(count: int) -> ClassificationTask:
    names = tuple(f"label {at}" for at in range(count))
    words = tuple(f"w{at}" for at in range(2 * count))
    return ClassificationTask(labels=names, words=words, token_ids=tuple(range(2 * count)), answer_context="")


@pytest.mark.parametrize(("count", "seen"), [(64, 128), (65, 65), (128, 128), (129, 0)])
def test_no_more_log_probabilities_are_asked_for_than_vllm_gives(config: GuardConfig, count: int, seen: int):
    from guard_server.asking import EngineRequest

    hold = FirstTokenHold(load_adapters(config)["support"], many_labels(count))
    asked = hold.put_on(EngineRequest(Endpoint.COMPLETIONS, {})).payload
    assert len(asked["allowed_token_ids"]) == count
    assert len(asked.get("logprob_token_ids", [])) == seen
    assert hold.tells_logprobs == (seen > 0)


def test_where_the_free_model_stood_is_not_told_of_more_labels_than_can_be_seen(config: GuardConfig):
    hold = FirstTokenHold(load_adapters(config)["support"], many_labels(65))
    named = {f"token_id:{token}": -1.0 for token in range(65, 130)}
    choice = {"logprobs": {"tokens": ["token_id:70"], "top_logprobs": [named]}}
    answer = hold.answer(Endpoint.COMPLETIONS, choice)
    assert (answer.text, answer.verdict.free_run_extended) == ("label 5", None)
    assert answer.logprobs is not None


@pytest.fixture
def grown(tmp_path: Path, base_model: Path) -> Path:
    """An adapter with new tokens: their tokenizer is in its directory."""
    tokenizer = Tokenizer.from_file(str(base_model / "tokenizer.json"))
    names = tuple(f"<|label-{at}|>" for at in range(4))
    first = tokenizer.get_vocab_size()
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in names])
    task = ClassificationTask(
        labels=LABELS,
        words=names,
        token_ids=tuple(range(first, first + 4)),
        answer_context="input\nAnswer: ",
        new_tokens=True,
    )
    files = {"tokenizer.json": tokenizer.to_str()}
    return write_adapter(tmp_path / "grown", base_model, task, files=files)


async def test_new_tokens_are_known_by_the_adapters_own_tokenizer(
    tmp_path: Path, base_model: Path, grown: Path, engine: FakeEngine
):
    def reply(endpoint: Endpoint, payload: Payload) -> Payload:
        return label_reply(endpoint, payload, 9, dict.fromkeys((7, 8, 9), -2.0) | {10: -1.0})

    asked = FakeEngine(reply)
    async with serving(config_of(tmp_path, base_model, {"grown": grown}), asked) as http:
        found = await ask(http, "grown")
    assert found["choices"][0]["message"]["content"] == "billing"
    assert asked.asked[0]["allowed_token_ids"] == [9, 10]


def test_new_tokens_without_their_tokenizer_are_refused(tmp_path: Path, base_model: Path, grown: Path):
    manifest = json.loads((grown / "p2p_manifest.json").read_text())
    (grown / "tokenizer.json").unlink()
    del manifest["files"]["tokenizer.json"]
    (grown / "p2p_manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BaseModelMismatchError, match="has no tokenizer.json"):
        load_adapters(config_of(tmp_path, base_model, {"grown": grown}))


def test_new_tokens_that_the_adapters_tokenizer_has_not_are_refused(tmp_path: Path, base_model: Path):
    task = ClassificationTask(
        labels=LABELS,
        words=tuple(f"<|label-{at}|>" for at in range(4)),
        token_ids=(7, 8, 9, 10),
        answer_context="input\nAnswer: ",
        new_tokens=True,
    )
    files = {"tokenizer.json": (base_model / "tokenizer.json").read_text()}
    path = write_adapter(tmp_path / "bare", base_model, task, files=files)
    with pytest.raises(LabelWordsError, match="Train it again"):
        load_adapters(config_of(tmp_path, base_model, {"bare": path}))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, words: dict[str, Path], grown: Path) -> dict[str, Path]:
    monkeypatch.setattr(
        "guard_server.engine.fleet.merged_copy", lambda adapter, *_: Path("merged") / adapter.name
    )
    monkeypatch.setattr("guard_server.engine.fleet._rank", lambda _: 4)
    return {"apart": words["apart"], "grown": grown}


def fleet_of(config: GuardConfig, serve_as: str) -> Fleet:
    engine = config.engine.model_copy(update={"serve_as": serve_as})
    return Fleet(config.model_copy(update={"engine": engine}), load_adapters(config).values())


async def test_new_tokens_are_not_served_as_lora(tmp_path: Path, base_model: Path, served: dict[str, Path]):
    with pytest.raises(GuardConfigError, match="grown: trained with new tokens.*engine.serve_as"):
        fleet_of(config_of(tmp_path, base_model, served), "lora")


async def test_on_a_gpu_new_tokens_are_merged_and_the_rest_is_lora(
    tmp_path: Path, base_model: Path, served: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("guard_server.engine.fleet.shutil.which", lambda _: "nvidia-smi")
    monkeypatch.setattr("guard_server.engine.fleet.Path.exists", lambda _: True)
    fleet = fleet_of(config_of(tmp_path, base_model, served), "auto")
    models = [child._model for child in fleet.children]
    await fleet.stop()
    assert [str(model.directory) for model in models] == [str(base_model), "merged/grown"]
    assert [name.split("@")[0] for name in models[0].lora] == ["apart"]
    assert [name.split("@")[0] for name in models[1].names] == ["grown"]
