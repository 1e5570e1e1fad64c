"""Adapters that come and go while engines run; vLLM's routes are a stand-in's here, and its own in tests/end_to_end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from guard_server.adapter import load_adapters
from guard_server.engine import fleet as fleets
from guard_server.engine.channel import EngineReply, NotSentError
from guard_server.engine.child import ServedModel
from guard_server.engine.fleet import Fleet
from guard_server.engine.lora_routes import LoraRoutes
from guard_server.errors import EngineLoadError, GuardConfigError
from guard_server.settings import EngineSettings, GuardConfig
from tests.guard_server.adapters.conftest import writer_config


class Vllm:
    """vLLM's routes for adapters, as version 0.32 has them, in place of a channel to it."""

    def __init__(self, *, may_load: bool = True) -> None:
        self.names = {"base"}
        self.paths: list[str] = []
        self.may_load = may_load
        self.is_down = False

    async def get(self, path: str, **_: object) -> EngineReply:
        if self.is_down:
            raise NotSentError("down")
        listed = {"data": [{"id": name} for name in self.names]} if path == "/v1/models" else {}
        return EngineReply(200, json.dumps(listed).encode())

    async def post(self, path: str, content: bytes, **_: object) -> EngineReply:
        if self.is_down:
            raise NotSentError("down")
        if not self.may_load:
            return EngineReply(404, b"")
        asked = json.loads(content)
        name = asked["lora_name"]
        if path == "/v1/unload_lora_adapter":
            known = name in self.names
            self.names.discard(name)
            return EngineReply(200 if known else 404, b"")
        self.paths.append(asked["lora_path"])
        self.names.add(name)
        return EngineReply(200, b"")

    async def cut(self) -> None:
        self.is_down = True


async def test_an_adapter_is_loaded_once_by_its_absolute_path():
    vllm = Vllm()
    for _ in range(2):
        await LoraRoutes(vllm).load("a@01", Path("runs/a"))
    assert vllm.paths == [str(Path.cwd() / "runs/a")]
    for _ in range(2):
        await LoraRoutes(vllm).unload("a@01")
    assert vllm.names == {"base"}


async def test_an_engine_that_may_not_load_says_what_to_do():
    with pytest.raises(EngineLoadError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        await LoraRoutes(Vllm(may_load=False)).load("a@01", Path("runs/a"))


@pytest.fixture
def two(tmp_path: Path, base_model: Path, versions: Callable[[str], Path]) -> list[GuardConfig]:
    return [writer_config(tmp_path, base_model, versions(word)) for word in ("one", "two")]


class Child:
    """A vLLM that has come up, without one."""

    def __init__(self, model: ServedModel, vllm: Vllm) -> None:
        self.model, self.channel = model, vllm
        self.restarts, self.is_up, self.stopped, self.fails = 0, False, 0, False

    async def start(self) -> None:
        self.is_up = True

    async def wait_until_up(self) -> None:
        if self.fails:
            raise GuardConfigError("vLLM ended while it started")

    async def stop(self) -> None:
        self.stopped += 1
        await self.channel.cut()


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
    assert second.target in base.channel.names
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
    self.model, self.channel = model, vllm
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
