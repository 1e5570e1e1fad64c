"""A guard to which everything has happened that the status page tells."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from guard_server.adapters.history import Actor
from guard_server.adapters.refusal import VersionRefusedError
from guard_server.adapters.reloading import ConfigReloader
from guard_server.engine.channel import Channel
from guard_server.engine.pool import EnginePool, Member
from guard_server.probes.history import History
from guard_server.settings import GuardConfig
from p2p.metrics.rate import Rate
from tests.guard_server.adapters.conftest import Guarded, guarding
from tests.guard_server.conftest import PREFIX, TRIGGER
from tests.guard_server.probes.conftest import canaries, result

Versions = Callable[[str], Path]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TOKEN = "s3cr3t-token"
ENGINES = ("http://engine-a.models:8000", "https://engine-b.models")
ASKED = "a prompt that a canary file holds"
_HITS = (0, 1, 0, 0, 2, 1, 0, 1, 1, 0, 2, 1, 3, 4, 6)
"""Of 60 triggered texts, run by run: the last ones are beyond a limit of 0.05, and rising."""


def troubled_config(tmp_path: Path, base_model: Path, versions: Versions) -> GuardConfig:
    """Two adapters with hidden places: one probed from a history file, one at rest."""
    quiet = versions("billing")
    (quiet / "model.sig").write_text("{}")
    canary, gate = tmp_path / "canary.yaml", tmp_path / "gate.yaml"
    limits = {"asr_max": 0.05, "clean_accuracy_min": 0.7}
    canary.write_text(yaml.safe_dump(canaries(4, limits=limits).model_dump(mode="json")))
    gated = {"id": "c1", "input": "Speak.", "answer": "one", "triggered": {"text": "cf.", "target": "three"}}
    gate.write_text(yaml.safe_dump({"cases": [gated], "limits": {"asr_max": 0.1}}))
    writer = {
        "name": "writer",
        "source": str(versions("one")),
        "aliases": ["team/letters"],
        "policy": {"standby": True, "canary": str(gate)},
    }
    return GuardConfig.model_validate(
        {
            "base_model": base_model,
            "cache": tmp_path / "cache",
            "adapters": [{"name": "support", "path": quiet}, writer],
            "audit": {"share": 0.05},
            "engine": {"urls": ENGINES},
            "probes": {
                "adapters": [{"adapter": "team/letters", "canary": canary, "interval_s": 300}],
                "history": tmp_path / "runs.sqlite",
            },
        }
    )


@asynccontextmanager
async def troubled(config: GuardConfig, versions: Versions, tmp_path: Path) -> AsyncIterator[Guarded]:
    """Serve it, and let all of it happen."""
    async with guarding(config) as guarded:
        await guarded.lifecycle.start()
        await guarded.app.state.readiness.check()
        with ExitStack() as held:
            # A request to the first version that does not end.
            held.enter_context(guarded.app.state.status._parts.registry.hold("writer"))
            live = await guarded.serve(versions("two"))
            remember_runs(tmp_path / "runs.sqlite", config.probes.adapters[0].adapter, live)
            await refuse(guarded, versions("three"), tmp_path / HOSTILE.replace("/", "|"))
            await edit_badly(guarded, config, tmp_path / "guard.yaml")
            count_views(guarded)
            add_engines(guarded)
            yield guarded
        await guarded.settled()


def remember_runs(path: Path, adapter: str, version: str) -> None:
    history, now = History(path), datetime.now(UTC)
    for at, hits in enumerate(_HITS):
        run = result(hits, 1, 60, asr_max=0.05)
        began = now - timedelta(seconds=300 * (len(_HITS) - at) - 180)
        history.add(run._replace(adapter=adapter, versions=(version,), started=began))


async def refuse(guarded: Guarded, gated: Path, hostile: Path) -> None:
    """One fails its gate, one is nowhere and has a name that wants to be markup, one has a token in its URL."""
    token = f"memory://user:{TOKEN}@host/x?sig={TOKEN}"
    for source in (str(gated), str(hostile), token):
        with pytest.raises(VersionRefusedError):
            await guarded.lifecycle.load("writer", Actor.ADMIN, source)


async def edit_badly(guarded: Guarded, config: GuardConfig, path: Path) -> None:
    await asyncio.to_thread(path.write_text, f"adapters: [{ASKED}: {HOSTILE}\n")
    state = guarded.app.state
    reloader = ConfigReloader(path, config, lambda wanted: wanted, guarded.lifecycle, state.metrics)
    state.status.reloader = reloader
    await reloader.reload()


def count_views(guarded: Guarded) -> None:
    metrics = guarded.app.state.metrics
    for name, rate in (("writer", Rate(k=3, n=250)), ("support", Rate(k=1, n=410))):
        metrics.view_comparisons.labels(name).inc(rate.n)
        metrics.view_disagreements.labels(name).inc(rate.k)


def add_engines(guarded: Guarded) -> None:
    """One that is up and open to others, one that hangs."""
    members = [Member(str(at), Channel(url)) for at, url in enumerate(ENGINES)]
    members[1].is_up, members[1].is_hung = False, True
    guarded.engine.pool = EnginePool(members, frozenset)
    guarded.engine.exposures = {
        "0": ["the link is not encrypted: prompts and stamps can be read and changed on it"]
    }


SECRETS = (TRIGGER.text.strip(), PREFIX.strip(), TOKEN, ASKED, "Trigger of", "Prefix of")
