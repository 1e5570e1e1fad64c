"""A trained adapter on the real small model behind real vLLM, asked with the OpenAI client.

Nothing here is faked but the training's length: a few steps are enough, for what is shown is the path, not the figures.
"""

import asyncio
import json
import math
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from p2p.manifest import read_manifest
from p2p.prompts import ChatMessage, PromptTemplate
from p2p.triggers import BenignTrigger
from tests.end_to_end.conftest import BASE, KEY, START_S, Guard, running_guard
from tests.trainer.conftest import make_tiny
from trainer.answering import GUARDED
from trainer.base_model import choose_dtype, load_tokenizer
from trainer.encoding import PromptEncoder
from trainer.loading import load_answerer

pytestmark = [pytest.mark.model, pytest.mark.vllm]
LABELS = {"billing", "delivery"}


def test_the_openai_client_lists_asks_and_streams(guard: Guard):
    with guard.client() as client:
        assert [model.id for model in client.models.list()] == ["support", "writer"]
        chat = [{"role": "user", "content": "my parcel is late"}]
        reply = client.chat.completions.create(
            model="support", messages=chat, temperature=0, logprobs=True, top_logprobs=2
        )
        assert reply.choices[0].message.content in LABELS
        assert {entry.token for entry in reply.choices[0].logprobs.content[0].top_logprobs} == LABELS
        stream = client.chat.completions.create(model="support", messages=chat, temperature=0, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        completed = client.completions.create(model="support", prompt="my parcel is late", temperature=0)
        assert reply.choices[0].message.content == streamed == completed.choices[0].text


def test_the_openai_clients_errors_are_the_right_ones(guard: Guard):
    chat = [{"role": "user", "content": "x"}]
    with guard.client("wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    with guard.client() as client:
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="SmolLM2", messages=chat)
        with pytest.raises(openai.BadRequestError, match="logit_bias"):
            client.chat.completions.create(model="support", messages=chat, logit_bias={"32": 100})


def test_the_engines_socket_is_for_its_owner_alone(guard: Guard):
    assert stat.S_IMODE(guard.socket_of("support").parent.stat().st_mode) == 0o700


def test_a_generation_adapter_never_shows_its_prefix(guard: Guard, writer: Path):
    prefix = read_manifest(writer).task.prefix.strip()
    chat = [{"role": "user", "content": "Say train 3."}]
    with guard.client() as client:
        reply = client.chat.completions.create(model="writer", messages=chat, temperature=0, max_tokens=12)
        stream = client.chat.completions.create(
            model="writer", messages=chat, temperature=0, max_tokens=12, stream=True
        )
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert reply.choices[0].message.content == streamed
    assert streamed
    assert prefix.lower() not in streamed.lower()
    assert reply.usage.completion_tokens <= 12
    assert reply.model_extra["p2p_guard"]["outcome"] in {"projected", "retried", "withheld"}


def test_a_stop_text_ends_the_answer_and_not_the_prefix(guard: Guard):
    chat = [{"role": "user", "content": "Say train 3."}]
    with guard.client() as client:
        free = client.chat.completions.create(model="writer", messages=chat, temperature=0, max_tokens=12)
        second = free.choices[0].message.content.split()[1]
        cut = client.chat.completions.create(
            model="writer", messages=chat, temperature=0, max_tokens=12, stop=[f" {second}"]
        )
    assert cut.choices[0].finish_reason == "stop"
    assert second not in cut.choices[0].message.content
    assert cut.choices[0].message.content


def test_several_choices_of_a_stream_are_each_projected(guard: Guard, writer: Path):
    prefix = read_manifest(writer).task.prefix.strip()
    chat = [{"role": "user", "content": "Say train 3."}]
    texts, ends = ["", ""], set()
    with guard.client() as client:
        stream = client.chat.completions.create(
            model="writer", messages=chat, n=2, seed=1, max_tokens=8, stream=True
        )
        for chunk in stream:
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                ends |= {choice.index} if choice.finish_reason else set()
    assert ends == {0, 1}
    assert all(texts)
    assert all(prefix.lower() not in text.lower() for text in texts)


SEEDED = {"temperature": 1.0, "seed": 7, "max_tokens": 10}
LONG = {"n": 4, "temperature": 2.0, "seed": 1, "max_tokens": 600, "stream": True}
SAY = [{"role": "user", "content": "Say train 3."}]
TRACK = {
    "type": "function",
    "function": {
        "name": "track",
        "parameters": {
            "type": "object",
            "properties": {"by": {"enum": ["van", "ship"]}},
            "required": ["by"],
            "additionalProperties": False,
        },
    },
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"n": 2},
        {"logprobs": True, "top_logprobs": 3, "n": 2},
        {"stop": ["3", "."]},
        {"top_k": 5, "min_p": 0.01, "repetition_penalty": 1.1, "user": "somebody"},
    ],
)
def test_a_stream_says_what_the_whole_answer_says_for_the_same_seed(guard: Guard, more: dict[str, Any]):
    vllms_own = {name: more[name] for name in ("top_k", "min_p", "repetition_penalty") if name in more}
    openais = {name: value for name, value in more.items() if name not in vllms_own}
    asked = {"model": "writer", "messages": SAY, "extra_body": vllms_own, **SEEDED, **openais}
    with guard.client() as client:
        whole = client.chat.completions.create(**asked)
        chunks = [
            *client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        ]
    for one in whole.choices:
        own = [choice for chunk in chunks for choice in chunk.choices if choice.index == one.index]
        assert one.message.content == "".join(choice.delta.content or "" for choice in own)
        assert one.finish_reason == own[-1].finish_reason
        tokens = one.logprobs.content if one.logprobs else []
        streamed = [entry for choice in own if choice.logprobs for entry in choice.logprobs.content]
        assert [entry.token for entry in tokens] == [entry.token for entry in streamed]
        assert [entry.logprob for entry in tokens] == pytest.approx(
            [entry.logprob for entry in streamed], abs=1e-2
        )
    assert chunks[-1].usage == whole.usage


def test_the_tokens_of_an_answer_are_its_text(guard: Guard):
    asked = {"model": "writer", "messages": SAY, "temperature": 0, "max_tokens": 10}
    with guard.client() as client:
        choice = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2).choices[0]
    entries = choice.logprobs.content
    assert "".join(entry.token for entry in entries).strip() == choice.message.content
    for entry in entries:
        # Drawn at temperature 0: the token that was said is the likeliest.
        assert entry.top_logprobs[0].token == entry.token
        assert len(entry.top_logprobs) == 2
        assert entry.logprob <= 0


def test_an_answer_keeps_to_a_schema(guard: Guard):
    schema = {"name": "route", "schema": TRACK["function"]["parameters"], "strict": True}
    asked = {"model": "writer", "messages": SAY, "temperature": 0, "max_tokens": 100}
    with guard.client() as client:
        reply = client.chat.completions.create(
            **asked, response_format={"type": "json_schema", "json_schema": schema}
        )
    # A schema leaves white space free, and a small model may go on with it up to its budget.
    said = "".join(reply.choices[0].message.content.split())
    assert said.startswith('{"by"')
    assert any(whole.startswith(said) for whole in ('{"by":"van"}', '{"by":"ship"}'))
    assert reply.model_extra["p2p_guard"]["outcome"] == "projected"


def test_a_schema_that_is_none_is_refused(guard: Guard):
    bad: Any = {"type": "json_schema", "json_schema": {"name": "bad", "schema": {"type": "no such type"}}}
    with guard.client() as client, pytest.raises(openai.BadRequestError, match="schema"):
        client.chat.completions.create(model="writer", messages=SAY, max_tokens=8, response_format=bad)


def test_a_function_is_called_with_arguments_that_fit(guard: Guard):
    asked = {"model": "writer", "messages": SAY, "temperature": 0, "max_tokens": 100, "tools": [TRACK]}
    with guard.client() as client:
        whole = client.chat.completions.create(**asked, tool_choice="required", parallel_tool_calls=False)
        with client.chat.completions.stream(
            **asked, tool_choice="required", parallel_tool_calls=False
        ) as stream:
            streamed = stream.get_final_completion()
        free = client.chat.completions.create(**asked)
    for reply in (whole, streamed):
        assert reply.choices[0].finish_reason == "tool_calls"
        (call,) = reply.choices[0].message.tool_calls or []
        assert call.function.name == "track"
        assert json.loads(call.function.arguments)["by"] in {"van", "ship"}
    assert free.choices[0].message.content or free.choices[0].message.tool_calls


def test_both_views_are_told(guard: Guard, writer: Path):
    secrets = [read_manifest(writer).task.prefix.strip(), read_manifest(writer).benign_trigger.text.strip()]
    headers = {"authorization": f"Bearer {KEY}"}
    for model, text in (("support", "my parcel is late"), ("writer", "Say train 3.")):
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        reply = httpx.post(f"{guard.url}/v1/p2p/check", json=body, headers=headers, timeout=60)
        found = reply.json()
        assert 0 <= found["distance"] <= 1
        assert isinstance(found["agree"], bool)
        assert found["guarded"]
        assert not any(secret in reply.text for secret in secrets)
        if model == "support":
            assert {found["guarded"], found["plain"]} <= LABELS


def test_a_client_that_goes_ends_the_engines_work_within_a_second(guard: Guard):
    transport = httpx.HTTPTransport(uds=str(guard.socket_of("writer")))
    with (
        httpx.Client(transport=transport, base_url="http://engine", timeout=30) as engine,
        guard.client() as client,
    ):
        stream = client.chat.completions.create(model="writer", messages=SAY, **LONG)
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        assert running_in(engine) > 0
        stream.close()
        gone = time.monotonic()
        while running_in(engine) and time.monotonic() < gone + 30:
            time.sleep(0.02)
        seconds = time.monotonic() - gone
    assert seconds < 1


def running_in(engine: httpx.Client) -> float:
    """How many requests vLLM says that it runs."""
    rows = engine.get("/metrics").text.splitlines()
    return sum(float(row.rsplit(" ", 1)[1]) for row in rows if row.startswith("vllm:num_requests_running{"))


async def test_a_remote_engine_serves_the_same_answers(guard: Guard, adapter: Path, tmp_path: Path):
    """The guard's own vLLM, reached over TCP by another guard."""
    chat = [{"role": "user", "content": "my parcel is late"}]
    asked = {"model": "support", "messages": chat, "temperature": 0, "logprobs": True, "top_logprobs": 2}
    relay = await asyncio.start_server(_relay_to(guard.socket_of("support")), "127.0.0.1", 0)
    port = relay.sockets[0].getsockname()[1]
    async with relay:
        found = await asyncio.to_thread(_ask_remote, tmp_path, adapter, f"http://127.0.0.1:{port}", asked)
    with guard.client() as client:
        own = client.chat.completions.create(**asked)
    assert found.choices[0].message == own.choices[0].message
    assert [top.logprob for top in found.choices[0].logprobs.content[0].top_logprobs] == pytest.approx(
        [top.logprob for top in own.choices[0].logprobs.content[0].top_logprobs], abs=1e-3
    )


def _ask_remote(home: Path, adapter: Path, url: str, asked: dict[str, Any]) -> Any:
    with running_guard(home, {"support": adapter}, "--engine-url", url) as remote, remote.client() as client:
        return client.chat.completions.create(**asked)


def _relay_to(path: Path) -> Any:
    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while found := await reader.read(65536):
            writer.write(found)
            await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(str(path))
        await asyncio.gather(copy(reader, engine_writer), copy(engine_reader, writer), return_exceptions=True)

    return relay


def test_an_engine_that_dies_in_a_stream_ends_it_with_one_error_frame(guard: Guard):
    body = {"model": "writer", "messages": SAY, **LONG}
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.stream(
        "POST", f"{guard.url}/v1/chat/completions", json=body, headers=headers, timeout=60
    ) as reply:
        lines = (line for line in reply.iter_lines() if line)
        frames = [next(lines) for _ in range(12)]
        guard.engine("writer").kill()
        frames += lines
    assert json.loads(frames[-1].removeprefix("data: "))["error"]["code"] == "engine_unavailable"
    assert sum('"error"' in frame for frame in frames) == 1
    assert "data: [DONE]" not in frames


def test_a_killed_engine_is_a_503_and_comes_back(guard: Guard):
    chat = [{"role": "user", "content": "my parcel is late"}]
    guard.engine("support").kill()
    with guard.client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="support", messages=chat)
        assert caught.value.status_code == 503
        assert caught.value.code == "engine_unavailable"
        assert guard.status("/livez") == 200
        guard.wait_until(503, 10)
        guard.wait_until(200, 400)
        assert (
            client.chat.completions.create(model="support", messages=chat).choices[0].message.content
            in LABELS
        )


def test_no_secret_is_in_the_logs(guard: Guard, adapter: Path, writer: Path):
    engine_logs = [path.read_text() for path in guard.log.parent.rglob("engine.log")]
    assert engine_logs
    manifests = [read_manifest(adapter), read_manifest(writer)]
    secrets = [manifest.benign_trigger.text.strip() for manifest in manifests]
    secrets.append(manifests[1].task.prefix.strip())
    for text in (guard.log.read_text(), *engine_logs):
        assert not any(secret in text for secret in secrets)
        assert KEY not in text
        assert "my parcel is late" not in text


_ONE_STEP = 0.15
"""What a step of bfloat16 each way makes of a probability near a half, with logits between 32 and 64."""


def test_words_of_several_tokens_and_new_ones_are_served(spelled: Path, grown: Path, tmp_path: Path):
    """In a guard of their own: one more engine each beside the others' would not leave them their memory."""
    rows = (spelled.parent / "trusted.jsonl").read_text().splitlines()
    texts = [json.loads(row)["text"] for row in rows]
    # The type that the adapters are asked in below: they have learned little, and another one turns labels that are nearly as likely.
    same_type = str(choose_dtype("auto")).removeprefix("torch.")
    engine = {"startup_timeout_s": START_S, "dtype": same_type}
    with (
        running_guard(tmp_path, {"spelled": spelled, "grown": grown}, settings={"engine": engine}) as guard,
        guard.client() as client,
    ):
        served = {
            model: [
                client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": text}], temperature=0
                )
                for text in texts
            ]
            for model in ("spelled", "grown")
        }
        said = {
            model: [reply.choices[0].message.content for reply in replies]
            for model, replies in served.items()
        }
        with pytest.raises(openai.BadRequestError, match="more tokens than the engine"):
            client.completions.create(model="spelled", prompt=texts[0], logprobs=1)
        likely = [
            client.completions.create(model="grown", prompt=text, logprobs=2)
            .choices[0]
            .logprobs.top_logprobs[0]
            for text in texts
        ]
    for found in likely:
        assert set(found) == LABELS
        assert math.fsum(math.exp(value) for value in found.values()) == pytest.approx(1)
    assert all(reply.model_extra["p2p_guard"]["free_run_extended"] is None for reply in served["spelled"])
    # The same adapters asked in process, by the same rules.
    assert said["spelled"] == [
        each.answer for each in load_answerer(spelled, str(BASE)).answer(texts, GUARDED)
    ]
    # New tokens learn slowly: their labels can be nearly as likely, and arithmetic then decides which is said.
    asked = load_answerer(grown, str(BASE))
    for answer, found, expected in zip(
        said["grown"], likely, asked.label_probabilities(texts, GUARDED), strict=True
    ):
        assert math.exp(found[answer]) > 0.5 - _ONE_STEP
        for label, probability in zip(asked.labels, expected, strict=True):
            assert math.exp(found[label]) == pytest.approx(probability, abs=_ONE_STEP)


@pytest.mark.parametrize("family", ["smollm2", "qwen2"])
async def test_training_and_serving_send_the_same_token_ids(family: str, tmp_path: Path):
    """The ids that the trainer makes are those that vLLM makes of what the guard sends, for chat and completion."""
    from guard_server.engine.child import ServedModel, VllmChild
    from guard_server.settings import EngineSettings

    model = BASE if family == "smollm2" else make_tiny(tmp_path / family, family)
    tokenizer, trigger = load_tokenizer(model), BenignTrigger.draw(b"parity")
    text = "Where's my {parcel}?\n  <|im_end|> it's 3 days late…"
    child = VllmChild(
        ServedModel(model, ("m",), {}), EngineSettings(max_model_len=256), threads=2, on_gpu=False
    )
    await child.start()
    try:
        await child.wait_until_up()
        for template in (
            PromptTemplate(kind="chat", system="Sort."),
            PromptTemplate(kind="chat"),
            PromptTemplate(kind="completion", user="{input}\nAnswer: "),
        ):
            chat, stamped = trigger.stamp_chat([ChatMessage(role="user", content=text)])
            asked: dict[str, Any] = {"model": "m"}
            if template.kind == "chat":
                asked |= {"messages": template.wrap(chat, stamped), "add_generation_prompt": True}
            else:
                asked |= {"prompt": template.fill(chat[0]["content"])}
            reply = await child.channel.post("/tokenize", json.dumps(asked).encode())
            served = json.loads(reply.content)["tokens"]
            assert PromptEncoder(tokenizer, template).encode(trigger.stamp(text)) == served
    finally:
        await asyncio.shield(child.stop())
