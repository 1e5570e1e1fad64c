"""What is passed on of vLLM's own metrics; the text is as vLLM 0.32 shows it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import RawTestServer
from prometheus_client import CollectorRegistry

from guard_server.engine.channel import Channel
from guard_server.engine.vllm_metrics import passed_on
from guard_server.exposition import Exposition

TEXT = """\
# HELP python_info Python platform information
# TYPE python_info gauge
python_info{version="3.11.7"} 1.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="MODEL",path="/secret"} 3.0
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="MODEL"} 17.0
# HELP vllm:lora_requests_info Running stats on lora requests.
# TYPE vllm:lora_requests_info gauge
vllm:lora_requests_info{running_lora_adapters="support@0123"} 1.0
"""


@asynccontextmanager
async def engine(text: str, status: int = 200) -> AsyncIterator[Channel]:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(text=text, status=status)

    async with RawTestServer(answer) as server:
        channel = Channel(str(server.make_url("")))
        try:
            yield channel
        finally:
            await channel.cut()


async def shown(*channels: Channel) -> str:
    async def beside():
        return await passed_on(channels)

    return (await Exposition(CollectorRegistry(), beside).text()).decode()


async def test_what_is_on_the_list_is_passed_on_under_its_own_name():
    async with engine(TEXT.replace("MODEL", "a@01")) as first:
        text = await shown(first)
    assert 'vllm:num_requests_waiting{engine="0",model_name="a@01"} 3.0\n' in text
    assert 'vllm:generation_tokens_total{engine="0",model_name="a@01"} 17.0\n' in text


async def test_nothing_else_is_neither_families_nor_labels():
    async with engine(TEXT) as first:
        text = await shown(first)
    assert [word for word in ("python", "secret", "lora", "support") if word in text] == []


async def test_engines_share_one_family():
    async with (
        engine(TEXT.replace("MODEL", "a@01")) as first,
        engine(TEXT.replace("MODEL", "b@02")) as second,
    ):
        text = await shown(first, second)
    assert text.count("# TYPE vllm:num_requests_waiting gauge") == 1
    assert text.count("vllm:num_requests_waiting{") == 2


async def test_an_engine_that_fails_leaves_the_others_metrics_whole():
    async with engine(TEXT) as first, engine("down", 500) as second, engine("no { metrics") as third:
        gone = Channel("http://127.0.0.1:9")
        text = await shown(gone, second, third, first)
        await gone.cut()
    assert text.count("vllm:num_requests_waiting{") == 1
