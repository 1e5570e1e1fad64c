import hashlib
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from guard_server.errors import GuardConfigError
from guard_server.middleware.in_flight import InFlightMiddleware
from guard_server.middleware.probe_keys import ProbeKeyMiddleware, is_probe, load_probe_digests
from guard_server.settings import AuthSettings

PROBER = "prober-key"


def digests(*keys: str) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(key.encode()).digest() for key in keys)


async def says_whose(scope, receive, send):
    status = 299 if is_probe(scope) else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def status(headers: list[tuple[str, str]], path: str = "/ask") -> int:
    app = ProbeKeyMiddleware(says_whose, digests(PROBER), frozenset({"/ask"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guard") as http:
        return (await http.get(path, headers=headers)).status_code


async def test_the_key_makes_a_probe():
    assert await status([("authorization", f"Bearer {PROBER}")]) == 299


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer user-key")],
        [("x-p2p-guard-probe", "1"), ("p2p_guard.is_probe", "true"), ("authorization", "Bearer user-key")],
        [("authorization", f"Bearer {PROBER}"), ("authorization", "Bearer user-key")],
        [("authorization", f"Basic {PROBER}")],
        [("x-api-key", PROBER)],
    ],
)
async def test_nothing_else_does(headers: list[tuple[str, str]]):
    assert await status(headers) == 200


async def test_a_prober_may_ask_and_nothing_else():
    assert await status([("authorization", f"Bearer {PROBER}")], "/metrics") == 404


def test_a_key_of_both_kinds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "keys").write_text("# probers\nown\nshared\n")
    settings = AuthSettings(probe_keys_file=tmp_path / "keys")
    assert set(load_probe_digests(settings, digests("user"))) == set(digests("own", "shared"))
    with pytest.raises(GuardConfigError, match="P2P_GUARD_PROBE_KEYS"):
        load_probe_digests(settings, digests("user", "shared"))


async def test_probes_take_no_place_of_the_users():
    gauges = [Gauge(name, "x", registry=CollectorRegistry()) for name in ("users", "probes")]
    paths = frozenset({"/ask"})
    limited = Counter("limited", "x", registry=CollectorRegistry())
    app = InFlightMiddleware(says_whose, limit=0, gauge=gauges[0], limited=limited, paths=paths)
    app = InFlightMiddleware(app, limit=1, gauge=gauges[1], limited=limited, paths=paths, of_probes=True)
    whole = ProbeKeyMiddleware(app, digests(PROBER), paths)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(whole), base_url="http://guard") as http:
        prober = await http.get("/ask", headers={"authorization": f"Bearer {PROBER}"})
        assert (prober.status_code, (await http.get("/ask")).status_code) == (299, 429)
