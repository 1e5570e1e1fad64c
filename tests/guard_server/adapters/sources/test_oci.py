"""A registry as the OCI distribution specification has it, over a transport in this process."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from guard_server.adapters.sources.oci import OciArtifact, Reference, opened_artifact
from guard_server.errors import SourceError

TITLE = "org.opencontainers.image.title"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(httpx.MockTransport):
    """Holds one artifact; wants a token where it is told to."""

    def __init__(self, files: dict[str, bytes], *, token: str | None = None, user: str | None = None) -> None:
        super().__init__(self.answer)
        self.blobs = {sha256(content): content for content in files.values()}
        layers = [
            {"digest": sha256(content), "size": len(content), "annotations": {TITLE: name}}
            for name, content in files.items()
        ]
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers}).encode()
        self.token = token
        self.user = user
        self.seen: list[httpx.Request] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        path, sent = request.url.path, request.headers.get("authorization", "")
        if request.url.host == "store.example":
            return httpx.Response(200, content=self.blobs[request.url.params["blob"]])
        if path == "/token":
            basic = base64.b64encode((self.user or "").encode()).decode()
            known = self.user is None or sent == f"Basic {basic}"
            return httpx.Response(200, json={"token": self.token}) if known else httpx.Response(401, json={})
        if self.token and sent != f"Bearer {self.token}":
            challenge = 'Bearer realm="https://r.example/token",service="r.example",scope="repository:team/support:pull"'
            return httpx.Response(401, headers={"www-authenticate": challenge})
        if path in ("/v2/team/support/manifests/v1", f"/v2/team/support/manifests/{sha256(self.manifest)}"):
            return httpx.Response(200, content=self.manifest)
        if path.startswith("/v2/team/support/blobs/"):
            blob = path.rpartition("/")[2]
            return httpx.Response(307, headers={"location": f"https://store.example/?blob={blob}"})
        return httpx.Response(404)


Opened = Callable[..., OciArtifact]
FILES = {"p2p_manifest.json": b"{}", "adapter_model.safetensors": b"weights" * 1000, "sub/file": b"x"}


def test_files_are_downloaded_by_their_titles(tmp_path: Path):
    with opened_artifact("oci://r.example/team/support:v1", Registry(FILES)) as artifact:
        for at, (name, content) in enumerate(FILES.items()):
            assert (artifact.has(name), artifact.size(name)) == (True, len(content))
            artifact.download(name, tmp_path / str(at))
            assert (tmp_path / str(at)).read_bytes() == content
        assert not artifact.has("other")


def test_a_token_is_fetched_where_the_registry_says_and_not_sent_to_the_blob_store(tmp_path: Path):
    registry = Registry(FILES, token="t0ken")
    with opened_artifact("oci://r.example/team/support:v1", registry) as artifact:
        artifact.download("sub/file", tmp_path / "x")
    asked = next(request for request in registry.seen if request.url.path == "/token")
    assert dict(asked.url.params) == {"service": "r.example", "scope": "repository:team/support:pull"}
    stored = next(request for request in registry.seen if request.url.host == "store.example")
    assert "authorization" not in stored.headers


def test_dockers_credentials_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    registry = Registry(FILES, token="t0ken", user="me:pass")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with (
        pytest.raises(SourceError, match="gives no token: status 401"),
        opened_artifact("oci://r.example/team/support:v1", registry),
    ):
        pass
    auth = base64.b64encode(b"me:pass").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r.example": {"auth": auth}}}))
    with opened_artifact("oci://r.example/team/support:v1", registry) as artifact:
        assert artifact.has("sub/file")


def test_a_blob_that_is_not_what_its_digest_says_is_refused(tmp_path: Path):
    registry = Registry(FILES)
    for changed in (b"weightz" * 1000, b"weights" * 1001, b"weights" * 999):
        registry.blobs[sha256(FILES["adapter_model.safetensors"])] = changed
        with opened_artifact("oci://r.example/team/support:v1", registry) as artifact:
            with pytest.raises(SourceError, match="not what its digest"):
                artifact.download("adapter_model.safetensors", tmp_path / "x")
            # Not a byte more than the manifest says is written.
            assert (tmp_path / "x").stat().st_size <= 7000


def test_a_manifest_that_is_not_what_the_source_pins_is_refused():
    registry = Registry(FILES)
    pinned = f"oci://r.example/team/support@{sha256(registry.manifest)}"
    with opened_artifact(pinned, registry) as artifact:
        assert artifact.has("sub/file")
    pinned_to = sha256(registry.manifest)
    changed = registry.manifest + b" "

    def swapped(request: httpx.Request) -> httpx.Response:
        if pinned_to in request.url.path:
            return httpx.Response(200, content=changed)
        return registry.answer(request)

    with (
        pytest.raises(SourceError, match="not what the source's digest"),
        opened_artifact(pinned, httpx.MockTransport(swapped)),
    ):
        pass


@pytest.mark.parametrize(
    "content",
    [b"no json", b"[]", b"{}", b'{"layers": [{"annotations": {"org.opencontainers.image.title": "a"}}]}'],
)
def test_a_manifest_that_is_no_list_of_files_is_refused(content: bytes):
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    with (
        pytest.raises(SourceError, match="no list of files"),
        opened_artifact("oci://r.example/team/support:v1", transport),
    ):
        pass


def test_an_unknown_tag_says_so():
    with (
        pytest.raises(SourceError, match="answers 404: is the name right"),
        opened_artifact("oci://r.example/team/support:v2", Registry(FILES)),
    ):
        pass


@pytest.mark.parametrize(
    "source",
    [
        "oci://r.example/team/support",
        "oci://r.example",
        "oci://r.example/UPPER:v1",
        "oci://r.example/a@sha256:00",
    ],
)
def test_a_source_without_a_version_is_refused(source: str):
    with pytest.raises(SourceError, match="an OCI source is"):
        Reference.parse(source)


@pytest.mark.parametrize(
    ("source", "root"),
    [
        ("oci://r.example/a:v1", "https://r.example"),
        ("oci://r.example:5000/a:v1", "https://r.example:5000"),
        ("oci://localhost:5000/a:v1", "http://localhost:5000"),
        ("oci://127.0.0.1:5000/a/b:v1", "http://127.0.0.1:5000"),
        ("oci://127.0.0.1.r.example/a:v1", "https://127.0.0.1.r.example"),
    ],
)
def test_a_registry_is_asked_over_tls_unless_it_is_on_this_machine(source: str, root: str):
    assert Reference.parse(source).root == root


def test_credentials_are_not_sent_to_a_realm_without_tls():
    challenge = {"www-authenticate": 'Bearer realm="http://evil.example/token",service="x"'}
    transport = httpx.MockTransport(lambda _: httpx.Response(401, headers=challenge))
    with (
        pytest.raises(SourceError, match="wants credentials"),
        opened_artifact("oci://r.example/team/support:v1", transport),
    ):
        pass
