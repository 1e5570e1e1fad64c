"""guard.yaml is edited while the guard serves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard_server.adapters.reloading import ConfigReloader
from guard_server.errors import GuardConfigError
from guard_server.settings import load_config
from tests.guard_server.adapters.conftest import Guarded, guarding

Versions = Callable[[str], Path]


class Edited(Guarded):
    """A guard whose guard.yaml is watched."""

    def __init__(self, guarded: Guarded, path: Path, content: dict[str, Any]) -> None:
        super().__init__(guarded.app, guarded.engine, guarded.http, guarded.admin)
        state = guarded.app.state
        self.path = path
        self.content = content
        self.reloader = ConfigReloader(
            path, load_config(path), lambda same: same, state.lifecycle, state.metrics
        )
        state.readiness.details["config"] = self.reloader.details

    def write(self, **changes: object) -> None:
        self.path.write_text(yaml.safe_dump(self.content | changes))

    def serve_from(self, *sources: Path, **more: object) -> None:
        names = ("writer", "second")
        listed = [
            {"name": name, "source": str(source), **more}
            for name, source in zip(names, sources, strict=False)
        ]
        self.write(adapters=listed)


def content_of(tmp_path: Path, base_model: Path, source: Path) -> dict[str, Any]:
    return {
        "base_model": str(base_model),
        "cache": str(tmp_path / "cache"),
        "adapters": [{"name": "writer", "source": str(source)}],
    }


@asynccontextmanager
async def editing(path: Path, content: dict[str, Any]) -> AsyncIterator[Edited]:
    async with guarding(load_config(path)) as guarded:
        yield Edited(guarded, path, content)


@pytest.fixture
async def edited(tmp_path: Path, base_model: Path, versions: Versions) -> AsyncIterator[Edited]:
    content = content_of(tmp_path, base_model, versions("one"))
    (tmp_path / "guard.yaml").write_text(yaml.safe_dump(content))
    async with editing(tmp_path / "guard.yaml", content) as found:
        yield found


async def test_a_new_source_is_served(edited: Edited, versions: Versions):
    edited.serve_from(versions("two"))
    assert (await edited.reloader.reload()).ok
    assert await edited.says() == "two"
    assert edited.metric("p2p_guard_config_reloads_total", result="applied") == 1


async def test_adapters_come_and_go(edited: Edited, versions: Versions, tmp_path: Path):
    edited.serve_from(tmp_path / "one" / "writer", versions("two"))
    await edited.reloader.reload()
    assert [await edited.says("writer"), await edited.says("second")] == ["one", "two"]
    edited.write()
    await edited.reloader.reload()
    body = {"model": "second", "messages": [{"role": "user", "content": "Speak."}]}
    assert (await edited.http.post("/v1/chat/completions", json=body)).status_code == 404
    await edited.settled()
    assert len(edited.engine.loaded) == 1


async def test_an_alias_moves_from_one_adapter_to_another(edited: Edited, versions: Versions, tmp_path: Path):
    first = {"name": "writer", "source": str(tmp_path / "one" / "writer")}
    second = {"name": "second", "source": str(versions("two"))}
    said = []
    for adapters in ([first | {"aliases": ["best"]}, second], [first, second | {"aliases": ["best"]}]):
        edited.write(adapters=adapters)
        assert (await edited.reloader.reload()).ok
        said.append(await edited.says("best"))
    assert said == ["one", "two"]
    assert [await edited.says("writer"), await edited.says("second")] == ["one", "two"]


@pytest.mark.parametrize("text", ["adapters: [", "adapters: []\n", "\x00", "base_model: m\nadaptors: []\n"])
async def test_a_file_that_is_no_configuration_is_refused(edited: Edited, text: str):
    edited.path.write_text(text)
    status = await edited.reloader.reload()
    assert (status.ok, status.reason) == (False, "config")
    assert await edited.says() == "one"
    assert edited.metric("p2p_guard_config_reloads_total", result="refused") == 1
    assert edited.metric("p2p_guard_config_last_reload_success") == 0


async def test_a_deleted_file_is_refused(edited: Edited):
    edited.path.unlink()
    assert not (await edited.reloader.reload()).ok
    assert await edited.says() == "one"


async def test_one_bad_adapter_refuses_the_whole_edit(edited: Edited, versions: Versions, tmp_path: Path):
    edited.serve_from(versions("two"), tmp_path / "nowhere")
    status = await edited.reloader.reload()
    await edited.settled()
    assert (status.ok, status.reason) == (False, "source")
    assert await edited.says() == "one"
    assert len(edited.engine.loaded) == 1


async def test_after_a_bad_edit_a_good_one_is_served(edited: Edited, versions: Versions, tmp_path: Path):
    edited.serve_from(tmp_path / "nowhere")
    await edited.reloader.reload()
    edited.serve_from(versions("two"))
    assert (await edited.reloader.reload()).ok
    assert await edited.says() == "two"
    assert edited.metric("p2p_guard_config_last_reload_success") == 1


async def test_what_needs_a_restart_is_named_and_the_rest_is_served(edited: Edited, versions: Versions):
    two = {"name": "writer", "source": str(versions("two"))}
    edited.write(adapters=[two], listen="127.0.0.1:1", engine={"serve_as": "lora"})
    status = await edited.reloader.reload()
    assert status.needs_restart == ("engine", "listen")
    assert await edited.says() == "two"


async def test_the_health_route_says_what_became_of_an_edit_and_no_path(edited: Edited, tmp_path: Path):
    edited.serve_from(tmp_path / "nowhere")
    await edited.reloader.reload()
    reply = await edited.http.get("/readyz")
    assert reply.json()["config"] == {"ok": False, "reason": "source", "needs_restart": []}
    assert reply.json()["adapters"] == {"serving": 1}
    assert "nowhere" not in reply.text


async def test_an_edit_can_not_allow_what_the_start_did_not(edited: Edited, tmp_path: Path):
    unguarded = {"name": "writer", "source": str(tmp_path / "one" / "writer"), "unguarded": True}
    edited.write(adapters=[unguarded], unsafe_allow_unguarded=True)
    status = await edited.reloader.reload()
    assert (status.ok, status.reason) == (False, "config")
    assert await edited.says() == "one"


async def until_it_says(edited: Edited, word: str) -> None:
    async with asyncio.timeout(5):
        while await edited.says() != word:  # noqa: ASYNC110 - what an operator sees is polled, too
            await asyncio.sleep(0.02)


async def test_an_edit_is_seen(edited: Edited, versions: Versions):
    watching = asyncio.create_task(edited.reloader.watch())
    await asyncio.sleep(0.2)
    edited.serve_from(versions("two"))
    await until_it_says(edited, "two")
    edited.write()
    await until_it_says(edited, "one")
    watching.cancel()


async def test_a_config_map_that_kubernetes_swaps_is_seen(
    tmp_path: Path, base_model: Path, versions: Versions
):
    """As the kubelet's atomic writer does: data in a dated directory, `..data` a link to it that is renamed over."""
    mount = tmp_path / "etc"
    first = content_of(tmp_path, base_model, versions("one"))
    second = content_of(tmp_path, base_model, versions("two"))
    for dated, content in (("..2026_01", first), ("..2026_02", second)):
        (mount / dated).mkdir(parents=True)
        (mount / dated / "guard.yaml").write_text(yaml.safe_dump(content))
    (mount / "..data").symlink_to("..2026_01")
    (mount / "guard.yaml").symlink_to("..data/guard.yaml")
    async with editing(mount / "guard.yaml", first) as edited:
        watching = asyncio.create_task(edited.reloader.watch())
        await asyncio.sleep(0.1)
        (mount / "..data_tmp").symlink_to("..2026_02")
        (mount / "..data_tmp").rename(mount / "..data")
        await until_it_says(edited, "two")
        watching.cancel()


def test_two_adapters_may_not_share_an_alias(tmp_path: Path):
    adapters = [{"name": "a", "path": "p", "aliases": ["x"]}, {"name": "b", "path": "q", "aliases": ["x"]}]
    (tmp_path / "guard.yaml").write_text(yaml.safe_dump({"base_model": "m", "adapters": adapters}))
    with pytest.raises(GuardConfigError, match="same name or alias"):
        load_config(tmp_path / "guard.yaml")
