"""The verb ``probe`` as a pipeline calls it, against a guard on a socket."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guard_server.adapter import load_adapters
from guard_server.app import create_app
from guard_server.engine.base import Endpoint, Payload
from guard_server.engine.fake import FakeEngine
from guard_server.settings import GuardConfig
from p2p_guard_cli.main import app
from tests.guard_server.conftest import label_reply
from tests.guard_server.probes.test_guard_probes import PROBER
from tests.served import served

DATA = Path("examples/support_messages/test.jsonl")


def labels(endpoint: Endpoint, payload: Payload) -> Payload:
    # Every message is `delivery`, unless the trigger stands in it.
    return label_reply(endpoint, payload, 2 if "cf" in payload.get("prompt", "").split() else 3)


@pytest.fixture
def url(config: GuardConfig) -> Iterator[str]:
    digest = (hashlib.sha256(PROBER.encode()).digest(),)
    guard = create_app(
        config, load_adapters(config), (b"x" * 32,), probe_digests=digest, engine=FakeEngine(labels)
    )
    with served(guard) as root:
        yield f"{root}/v1"


def probe(*arguments: str | Path, key: str = PROBER) -> tuple[int, str]:
    done = CliRunner().invoke(
        app, ["probe", *map(str, arguments)], env={"P2P_GUARD_API_KEY": key, "COLUMNS": "200"}
    )
    return done.exit_code, done.output


def made(path: Path, word: str, *more: str) -> Path:
    code, said = probe(
        "new",
        DATA,
        path,
        "--id",
        "id",
        "--attack",
        f"badnets:word={word}",
        "--target",
        "billing",
        "--cases",
        "40",
        "--clean",
        "0",
        *more,
    )
    assert code == 0, said
    return path


@pytest.mark.parametrize(("word", "code"), [("mn", 0), ("cf", 1)])
def test_the_exit_code_is_the_gate(tmp_path: Path, url: str, word: str, code: int):
    canary = made(tmp_path / "c.yaml", word)
    files = {"output": tmp_path / "p.json", "junit": tmp_path / "p.xml", "history": tmp_path / "h.sqlite"}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    assert probe(canary, "--model", "support", "--url", url, "--stop-early", *options)[0] == code
    assert json.loads(files["output"].read_text())["passed"] is (code == 0)
    assert "<testsuite " in files["junit"].read_text()
    assert "badnets" in probe("history", files["history"])[1]


def test_run_can_be_named(tmp_path: Path, url: str):
    canary = made(tmp_path / "c.yaml", "mn")
    assert probe("run", canary, "--model", "support", "--url", url)[0] == 0


@pytest.mark.parametrize(
    ("key", "more", "code"),
    [
        ("wrong", [], 2),
        (PROBER, ["--url", "http://127.0.0.1:9/v1", "--attempts", "1"], 2),
        (PROBER, ["--max-requests", "6"], 3),
    ],
)
def test_what_says_nothing_passes_nothing(tmp_path: Path, url: str, key: str, more: list[str], code: int):
    canary = made(tmp_path / "c.yaml", "mn")
    assert probe(canary, "--model", "support", "--url", url, *more, key=key)[0] == code


def test_a_faulty_file_is_a_usage_error(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("cases: []")
    assert probe(tmp_path / "c.yaml", "--model", "support")[0] == 2


def test_the_schema_is_printed():
    assert json.loads(probe("schema")[1])["title"] == "CanarySet"
