"""OpenSSF model signatures with a key file: made by our verb or by the package itself, and refused when anything differs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from guard_server.adapters.history import Actor
from guard_server.adapters.refusal import RefusalReason, VersionRefusedError
from guard_server.adapters.signature import sign, verify_signature
from guard_server.adapters.sources.fetching import fetch
from guard_server.errors import SignatureError
from tests.guard_server.adapters.conftest import guarding, writer_config

Versions = Callable[[str], Path]


def key_pair(home: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = home / f"{name}.pem", home / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return key_pair(tmp_path, "ours")


def test_a_signed_directory_verifies_wherever_it_is_copied(
    tmp_path: Path, versions: Versions, keys: tuple[Path, Path]
):
    path = versions("one")
    sign(path, keys[0])
    moved = shutil.copytree(path, tmp_path / "elsewhere")
    verify_signature(moved, keys[1])


def test_a_signature_by_the_package_itself_verifies(versions: Versions, keys: tuple[Path, Path]):
    from model_signing import signing

    path = versions("one")
    signing.Config().use_elliptic_key_signer(private_key=keys[0]).sign(path, path / "model.sig")
    verify_signature(path, keys[1])


@pytest.mark.parametrize(
    "name", ["p2p_manifest.json", "adapter_model.safetensors", "added", ".gitattributes"]
)
def test_any_change_after_the_signature_is_refused(versions: Versions, keys: tuple[Path, Path], name: str):
    path = versions("one")
    sign(path, keys[0])
    (path / name).write_bytes(b"changed")
    with pytest.raises(SignatureError, match="does not hold"):
        verify_signature(path, keys[1])


def test_another_key_is_refused(tmp_path: Path, versions: Versions, keys: tuple[Path, Path]):
    path = versions("one")
    sign(path, key_pair(tmp_path, "theirs")[0])
    with pytest.raises(SignatureError, match="another key"):
        verify_signature(path, keys[1])


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"mediaType": "x", "dsseEnvelope": {}}'])
def test_a_file_that_is_no_signature_is_refused(versions: Versions, keys: tuple[Path, Path], content: bytes):
    path = versions("one")
    (path / "model.sig").write_bytes(content)
    with pytest.raises(SignatureError, match="does not hold"):
        verify_signature(path, keys[1])


async def test_a_policy_serves_signed_versions_alone(
    tmp_path: Path, base_model: Path, versions: Versions, keys: tuple[Path, Path]
):
    first, second = versions("one"), versions("two")
    sign(first, keys[0])
    policy = {"require_signature": True, "public_key": keys[1]}
    async with guarding(writer_config(tmp_path, base_model, first, policy=policy)) as guarded:
        with pytest.raises(VersionRefusedError, match="wants a signature") as caught:
            await guarded.lifecycle.load("writer", Actor.ADMIN, str(second))
        assert caught.value.reason is RefusalReason.SIGNATURE
        assert await guarded.says() == "one"
        sign(second, keys[0])
        await guarded.serve(second)
        assert await guarded.says() == "two"


def test_content_that_was_signed_after_it_was_fetched_gets_its_signature(
    tmp_path: Path, versions: Versions, keys: tuple[Path, Path]
):
    source = versions("one")
    fetch(str(source), tmp_path / "cache")
    sign(source, keys[0])
    verify_signature(fetch(str(source), tmp_path / "cache"), keys[1])
