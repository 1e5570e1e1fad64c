from pathlib import Path

import pytest
import yaml

from guard_server.errors import GuardConfigError
from guard_server.middleware.auth import load_key_digests
from guard_server.settings import AuthSettings, load_config

GOOD = {"base_model": "m", "adapters": [{"name": "a", "path": "p"}]}


def load(tmp_path: Path, **changes: object) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    load_config(path)


def test_a_small_config_is_enough(tmp_path: Path):
    load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"adaptors": []}, "did you mean 'adapters'"),
        ({"engine": {"serve": "lora"}}, "engine.serve: unknown key; did you mean 'serve_as'"),
        ({"listen": "8000"}, "listen"),
        ({"audit": {"share": 2}}, "audit.share"),
        ({"audit": {"mode": "watch"}}, "audit.mode"),
        ({"audit": {"shares": 0.1}}, "did you mean 'share'"),
        ({"adapters": []}, "adapters"),
        ({"adapters": [{"name": "a", "path": "p"}, {"name": "a", "path": "q"}]}, "same name"),
    ],
)
def test_a_faulty_config_is_named(tmp_path: Path, changes: dict[str, object], said: str):
    with pytest.raises(GuardConfigError, match=said):
        load(tmp_path, **changes)


def test_without_a_key_nothing_is_served(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("P2P_GUARD_API_KEYS", raising=False)
    with pytest.raises(GuardConfigError, match="openssl rand"):
        load_key_digests(AuthSettings())
    assert load_key_digests(AuthSettings(allow_anonymous=True)) == ()


def test_keys_come_from_the_environment_and_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("P2P_GUARD_API_KEYS", "one, two")
    (tmp_path / "keys").write_text("# ours\nthree\n\n")
    digests = load_key_digests(AuthSettings(keys_file=tmp_path / "keys"))
    assert len(set(digests)) == 3
    assert b"three" not in b"".join(digests)
