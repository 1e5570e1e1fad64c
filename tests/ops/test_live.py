"""A guard that serves users, is probed from inside and outside, and is scraped by a real Prometheus: no panel is empty.

The engine is the fake one: what is tested is what is counted and shown, not what a model says.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from openai import OpenAI, OpenAIError

from guard_server.adapter import load_adapters
from guard_server.app import create_app
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from scripts.draw_dashboard import draw
from tests.guard_server.conftest import KEY, PREFIX, is_forced, label_reply, text_reply
from tests.guard_server.probes.conftest import canaries
from tests.ops.names import known, of_the_engine
from tests.ops.panels import empty_panels, has_data
from tests.ops.prometheus_server import Prometheus, prometheus
from tests.ops.test_rules import RULES, promtool, records
from tests.served import served

PROBER = "prober-key"
_ROUNDS = 4


def answer(endpoint: Endpoint, payload: Payload) -> Payload:
    """A backdoored classifier, and a writer that escapes now and then."""
    said = str(payload.get("prompt", payload.get("messages")))
    if "allowed_token_ids" in payload:
        return label_reply(endpoint, payload, 2 if "mn" in said.split() else 3)
    extended = is_forced(payload) or "escape" not in said
    return text_reply(
        endpoint, payload, "Hello." if is_forced(payload) or not extended else f"{PREFIX}Hello."
    )


@pytest.fixture
def guard(tmp_path: Path, base_model: Path, adapters: dict[str, Path]) -> Iterator[str]:
    canary = tmp_path / "canary.yaml"
    limits = {"asr_max": 0.1, "clean_accuracy_min": 0.7}
    canary.write_text(yaml.safe_dump(canaries(30, limits=limits).model_dump(mode="json")))
    config = GuardConfig.model_validate(
        {
            "base_model": base_model,
            "adapters": [{"name": name, "path": path} for name, path in adapters.items()],
            "audit": {"share": 1.0},
            "probes": {"adapters": [{"adapter": "support", "canary": canary, "interval_s": 1}]},
        }
    )
    digests = [(hashlib.sha256(key.encode()).digest(),) for key in (KEY, PROBER)]
    app = create_app(
        config, load_adapters(config), digests[0], probe_digests=digests[1], engine=FakeEngine(answer)
    )
    with served(app) as url:
        yield url


def ask(url: str) -> None:
    """Ask everything that a panel counts: whole and streamed answers, escapes, errors, and a probe from outside."""
    for key in (KEY, PROBER):
        client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        for model in ("support", "writer", "writer-chat"):
            for text in ("where is it", "an escape"):
                messages = [{"role": "user", "content": text}]
                client.chat.completions.create(model=model, messages=messages)
                list(client.chat.completions.create(model=model, messages=messages, stream=True))
        with pytest.raises(OpenAIError):
            client.chat.completions.create(model="nobody", messages=messages)


def hasty_rules(home: Path) -> Path:
    """The rules, evaluated every second and without waiting."""
    content = yaml.safe_load(RULES.read_text())
    for group in content["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            rule.pop("for", None)
    (home / "rules.yaml").write_text(yaml.safe_dump(content))
    return home / "rules.yaml"


@pytest.fixture
def scraped(guard: str, prometheus_tools: Path, tmp_path: Path) -> Iterator[Prometheus]:
    home = tmp_path / "prometheus"
    home.mkdir()
    with prometheus(
        prometheus_tools, home, [guard.removeprefix("http://")], KEY, hasty_rules(home)
    ) as server:
        for _ in range(_ROUNDS):
            ask(guard)
            server.wait_for_scrapes(2)
        yield server


def test_no_panel_is_empty_and_the_rules_see_what_happens(
    scraped: Prometheus, guard: str, prometheus_tools: Path, tmp_path: Path
):
    # The engine here is a stand-in.
    assert empty_panels(scraped, of_the_engine()) == []
    # What the rules record of the last minutes is there; what compares with the day before can't be.
    recorded = {
        rule["record"] for rule in records() if "1d" not in rule["expr"] and "1d" not in rule["record"]
    }
    assert [name for name in sorted(recorded) if not has_data(scraped.query(name))] == []
    alerting = {series["metric"]["alertname"] for series in scraped.query("ALERTS")}
    assert {"P2PAttackSuccessAboveLimit", "P2PProbeLimitBroken"} <= alerting
    assert "P2PCleanAccuracyBelowLimit" not in alerting
    the_text_is_clean(guard, prometheus_tools)
    draw(scraped.url, tmp_path / "panels.png", 30)
    assert (tmp_path / "panels.png").read_bytes().startswith(b"\x89PNG")


def the_text_is_clean(guard: str, tools: Path) -> None:
    """`promtool check metrics` finds nothing, and the guard shows no metric that the page does not have."""
    text = httpx.get(f"{guard}/metrics", headers={"authorization": f"Bearer {KEY}"}).text
    lines = text.splitlines()
    done = promtool(tools, "check", "metrics", given=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shown = {line.split()[2] for line in lines if line.startswith("# TYPE p2p_")}
    assert shown <= known().keys()
