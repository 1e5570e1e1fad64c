"""Adapters that come and go while engines run; vLLM's routes are a stand-in's here, and its own in tests/end_to_end."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from guard_server.adapter import load_adapters
from guard_server.engine import fleet as fleets
from guard_server.engine.child import ServedModel
from guard_server.engine.fleet import Fleet
from guard_server.engine.lora_routes import LoraRoutes
from guard_server.errors import EngineLoadError, GuardConfigError
from guard_server.settings import EngineSettings, GuardConfig
from tests.guard_server.adapters.conftest import writer_config


class Vllm(httpx.MockTransport):
    """vLLM's routes for adapters, as version 0.32 has them."""

    def __init__(self, *, may_load: bool = True) -> None:
        super().__init__(self.answer)
        self.names = {"base"}
        self.paths: list[str] = []
        self.may_load = may_load

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": name} for name in self.names]})
        if not self.may_load:
            return httpx.Response(404)
        asked = json.loads(request.content)
        name = asked["lora_name"]
        if request.url.path == "/v1/unload_lora_adapter":
            known = name in self.names
            self.names.discard(name)
            return httpx.Response(200 if known else 404)
        self.paths.append(asked["lora_path"])
        self.names.add(name)
        return httpx.Response(200)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self, base_url="http://engine")


async def test_an_adapter_is_loaded_once_by_its_absolute_path():
    vllm = Vllm()
    async with vllm.client() as client:
        for _ in range(2):
            await LoraRoutes(client).load("a@01", Path("runs/a"))
        assert vllm.paths == [str(Path.cwd() / "runs/a")]
        for _ in range(2):
            await LoraRoutes(client).unload("a@01")
    assert vllm.names == {"base"}


async def test_an_engine_that_may_not_load_says_what_to_do():
    async with Vllm(may_load=False).client() as client:
        with pytest.raises(EngineLoadError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            await LoraRoutes(client).load("a@01", Path("runs/a"))


@pytest.fixture
def two(tmp_path: Path, base_model: Path, versions: Callable[[str], Path]) -> list[GuardConfig]:
    return [writer_config(tmp_path, base_model, versions(word)) for word in ("one", "two")]


async def test_a_remote_engine_gets_what_it_lacks_and_keeps_what_it_has(
    two: list[GuardConfig], monkeypatch: pytest.MonkeyPatch
):
    """It starts late, then starts again and has forgotten everything."""
    vllm = Vllm()
    monkeypatch.setattr(fleets, "client_of_url", lambda *_: vllm.client())
    monkeypatch.setattr(fleets, "_KEEP_LOADED_S", 0.01)
    remote = two[0].model_copy(update={"engine": EngineSettings(url="http://engine")})
    first, second = (load_adapters(config)["writer"] for config in two)
    fleet = Fleet(remote, [first])
    await fleet.start()
    await fleet.load(second)
    for _ in range(2):
        async with asyncio.timeout(2):
            while not {first.target, second.target} <= vllm.names:  # noqa: ASYNC110 - what an operator sees is polled, too
                await asyncio.sleep(0.01)
        vllm.names = {"base"}
    await fleet.unload(first.target)
    vllm.names.add(first.target)
    await asyncio.sleep(0.05)
    assert first.target in vllm.names
    await fleet.stop()


class Child:
    """A vLLM that has come up, without one."""

    def __init__(self, model: ServedModel, vllm: Vllm) -> None:
        self.model, self.vllm, self.client = model, vllm, vllm.client()
        self.restarts, self.is_up, self.stopped, self.fails = 0, False, 0, False

    async def start(self) -> None:
        self.is_up = True

    async def wait_until_up(self) -> None:
        if self.fails:
            raise GuardConfigError("vLLM ended while it started")

    async def stop(self) -> None:
        self.stopped += 1
        await self.client.aclose()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    made: list[Child] = []

    def child(model: ServedModel, *_: object, **__: object) -> Child:
        made.append(Child(model, Vllm()))
        return made[-1]

    monkeypatch.setattr(fleets, "VllmChild", child)
    monkeypatch.setattr(fleets, "merged_copy", lambda adapter, *_: Path("merged") / adapter.target)
    monkeypatch.setattr(fleets, "_rank", lambda _: 8)
    return made


def serve_as(config: GuardConfig, how: str) -> GuardConfig:
    return config.model_copy(update={"engine": EngineSettings(serve_as=how)})


async def test_a_lora_adapter_is_loaded_onto_the_child_and_is_there_after_its_restart(
    two: list[GuardConfig], children: list[Child]
):
    first, second = (load_adapters(config)["writer"] for config in two)
    fleet = Fleet(serve_as(two[0], "lora"), [first])
    await fleet.start()
    await fleet.load(second)
    (base,) = children
    assert second.target in base.vllm.names
    assert set(base.model.lora) == {first.target, second.target}
    await fleet.unload(first.target)
    assert set(base.model.lora) == {second.target}
    assert (base.model.takes_lora, base.model.max_lora_rank, base.model.max_loras) == (True, 16, 2)
    await fleet.stop()


async def test_a_merged_adapter_gets_a_child_that_ends_with_it(two: list[GuardConfig], children: list[Child]):
    first, second = (load_adapters(config)["writer"] for config in two)
    fleet = Fleet(serve_as(two[0], "merged"), [first])
    await fleet.start()
    await fleet.load(second)
    assert [child.model.names for child in fleet.children] == [(first.target,), (second.target,)]
    children[0].restarts = 3
    await fleet.unload(first.target)
    assert [id(child) for child in fleet.children] == [id(children[1])]
    assert children[0].stopped == 1
    # What readiness compares only grows.
    assert fleet.restarts == 3
    await fleet.stop()


async def test_a_child_that_does_not_start_is_ended_and_changes_nothing(
    two: list[GuardConfig], children: list[Child], monkeypatch: pytest.MonkeyPatch
):
    first, second = (load_adapters(config)["writer"] for config in two)
    fleet = Fleet(serve_as(two[0], "merged"), [first])
    await fleet.start()
    monkeypatch.setattr(Child, "fails", True, raising=False)
    monkeypatch.setattr(Child, "__init__", _failing_init)
    with pytest.raises(GuardConfigError, match="ended"):
        await fleet.load(second)
    assert children[1].stopped == 1
    assert fleet.is_up
    assert [id(child) for child in fleet.children] == [id(children[0])]
    await fleet.stop()


def _failing_init(self: Child, model: ServedModel, vllm: Vllm) -> None:
    self.model, self.vllm, self.client = model, vllm, vllm.client()
    self.restarts, self.is_up, self.stopped, self.fails = 0, False, 0, True


async def test_no_memory_for_a_second_engine_refuses_the_version(
    two: list[GuardConfig], children: list[Child], monkeypatch: pytest.MonkeyPatch
):
    first, second = (load_adapters(config)["writer"] for config in two)
    fleet = Fleet(serve_as(two[0], "merged"), [first])
    await fleet.start()
    monkeypatch.setattr(fleets, "available_bytes", lambda: 1 << 20)
    with pytest.raises(EngineLoadError, match="1 MiB are left"):
        await fleet.load(second)
    assert len(children) == 1
    await fleet.stop()


async def test_a_rank_that_the_running_child_does_not_take_is_refused(
    two: list[GuardConfig], children: list[Child], monkeypatch: pytest.MonkeyPatch
):
    first, second = (load_adapters(config)["writer"] for config in two)
    fleet = Fleet(serve_as(two[0], "lora"), [first])
    await fleet.start()
    monkeypatch.setattr(fleets, "_rank", lambda _: 64)
    with pytest.raises(EngineLoadError, match=r"rank is 64.*up to 16.*engine.max_lora_rank"):
        await fleet.load(second)
    await fleet.stop()
