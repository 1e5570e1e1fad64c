"""OCI artifacts: ``oci://registry/repository:tag`` or ``@sha256:<digest>``, as ``oras push registry/repository:tag *`` makes them.

The distribution API is a handful of GETs. Every byte is checked against the digest that names it, which general clients leave to
their callers. See ``docs/decisions/0018-adapter-sources.md``.
"""

import base64
import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from guard_server.errors import SourceError

_REFERENCE = re.compile(
    r"oci://(?P<registry>[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9a-fA-F:]+\](?::\d{1,5})?)/"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))"
)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_TITLE = "org.opencontainers.image.title"
_LARGEST_MANIFEST = 4 << 20
_TIMEOUT = httpx.Timeout(60, connect=10)


class Reference(NamedTuple):
    """What a source names.

    Attributes:
        registry: Host, with a port where there is one.
        repository: The repository.
        version: A tag or a digest.
    """

    registry: str
    repository: str
    version: str

    @classmethod
    def parse(cls, source: str) -> "Reference":
        """Read ``oci://registry/repository:tag`` or ``@sha256:<digest>``.

        Raises:
            SourceError: It is neither.
        """
        found = _REFERENCE.fullmatch(source)
        if found is None:
            raise SourceError(
                "an OCI source is oci://registry/repository:tag or oci://registry/repository@sha256:<64 hex>"
            )
        return cls(found["registry"], found["repository"], found["tag"] or found["digest"])

    @property
    def root(self) -> str:
        """The URL of the registry: HTTPS, but for one on this machine."""
        return f"{'http' if _is_local(self.registry) else 'https'}://{self.registry}"


class Layer(NamedTuple):
    """One file: its digest and its size in bytes."""

    digest: str
    size: int


class OciArtifact:
    """The files of an artifact, by the title of their layers.

    Args:
        reference: Which artifact.
        client: Speaks to the registry.

    Raises:
        SourceError: It can't be had, or is no artifact of files.
    """

    def __init__(self, reference: Reference, client: httpx.Client) -> None:
        self._reference = reference
        self._client = client
        self._authorization: str | None = None
        self._layers = _layers(self._manifest())

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return name in self._layers

    def size(self, name: str) -> int:
        """Return a file's size in bytes, which its download may not pass."""
        return self._layer(name).size

    def download(self, name: str, target: Path) -> None:
        """Write a file to ``target``.

        Raises:
            SourceError: It can't be had, or is not what its digest says.
        """
        layer = self._layer(name)
        seen, size = hashlib.sha256(), 0
        with target.open("wb") as file:
            for piece in self._get(f"blobs/{layer.digest}"):
                seen.update(piece)
                size += len(piece)
                if size > layer.size:
                    break
                file.write(piece)
        if size != layer.size or f"sha256:{seen.hexdigest()}" != layer.digest:
            raise SourceError(f"{name} is not what its digest in the registry says: do not use this source")

    def _layer(self, name: str) -> Layer:
        if name not in self._layers:
            raise SourceError(
                f"the artifact has no file {name}. Push an adapter's files from inside its directory: `oras push ... *`"
            )
        return self._layers[name]

    def _manifest(self) -> bytes:
        content = b""
        for piece in self._get(f"manifests/{self._reference.version}", accept=_MANIFEST):
            content += piece
            if len(content) > _LARGEST_MANIFEST:
                raise SourceError("the artifact's manifest is too large")
        wanted = self._reference.version
        if wanted.startswith("sha256:") and wanted != f"sha256:{hashlib.sha256(content).hexdigest()}":
            raise SourceError(
                "the registry's manifest is not what the source's digest says: do not use this source"
            )
        return content

    def _get(self, path: str, accept: str = "*/*") -> Iterator[bytes]:
        """Yield the body of a GET; the registry says by a 401 where a token is to be had."""
        url = f"{self._reference.root}/v2/{self._reference.repository}/{path}"
        try:
            for _ in range(2):
                headers = {"accept": accept} | (
                    {"authorization": self._authorization} if self._authorization else {}
                )
                with self._client.stream("GET", url, headers=headers) as reply:
                    if reply.status_code == 401 and self._authorization is None:
                        self._authorization = self._authorize(reply.headers.get("www-authenticate", ""))
                        continue
                    if reply.status_code != 200:
                        raise SourceError(
                            f"the registry {self._reference.registry} answers {reply.status_code}: {_hint(reply)}"
                        )
                    yield from reply.iter_bytes()
                    return
        except httpx.HTTPError as error:
            raise SourceError(
                f"the registry {self._reference.registry} fails: {type(error).__name__}"
            ) from error

    def _authorize(self, challenge: str) -> str:
        """Return the header that a challenge asks for, with the credentials of docker's configuration where there are some."""
        basic = _credentials(self._reference.registry)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and basic:
            return f"Basic {basic}"
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = urlsplit(asked.pop("realm", ""))
        if scheme.lower() != "bearer" or not (realm.scheme == "https" or _is_local(realm.netloc)):
            raise SourceError(
                f"the registry {self._reference.registry} wants credentials: `docker login` writes them"
            )
        known = {name: asked[name] for name in ("service", "scope") if name in asked}
        reply = self._client.get(
            realm.geturl(), params=known, headers={"authorization": f"Basic {basic}"} if basic else {}
        )
        try:
            said = reply.json()
            return f"Bearer {said.get('token') or said['access_token']}"
        except (ValueError, KeyError, AttributeError) as error:
            raise SourceError(
                f"the registry {self._reference.registry} gives no token: status {reply.status_code}"
            ) from error


@contextmanager
def opened_artifact(source: str, transport: httpx.BaseTransport | None = None) -> Iterator[OciArtifact]:
    """Open the artifact that a source names.

    Raises:
        SourceError: It can't be had.
    """
    reference = Reference.parse(source)
    # A redirection to a blob store is followed; httpx takes the token off when the host is another.
    with httpx.Client(transport=transport, timeout=_TIMEOUT, follow_redirects=True) as client:
        yield OciArtifact(reference, client)


def _layers(content: bytes) -> dict[str, Layer]:
    try:
        manifest: dict[str, Any] = json.loads(content)
        layers = {
            layer["annotations"][_TITLE]: Layer(str(layer["digest"]), int(layer["size"]))
            for layer in manifest["layers"]
            if _TITLE in (layer.get("annotations") or {})
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            "the artifact is no list of files: push an adapter's files with `oras push ... *`"
        ) from error
    if any(not re.fullmatch(r"sha256:[0-9a-f]{64}", layer.digest) for layer in layers.values()):
        raise SourceError("the artifact names files by another digest than SHA-256")
    return layers


def _credentials(registry: str) -> str | None:
    """Return ``user:password`` in base64 from docker's configuration file; credential helpers are not asked."""
    home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        found = json.loads((home / "config.json").read_text(encoding="utf-8"))["auths"][registry]
        if "auth" in found:
            return str(found["auth"])
        return base64.b64encode(f"{found['username']}:{found['password']}".encode()).decode()
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_local(netloc: str) -> bool:
    host = urlsplit(f"//{netloc}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hint(reply: httpx.Response) -> str:
    if reply.status_code in (401, 403):
        return "the credentials are missing or wrong; `docker login` writes them"
    return "is the name right?" if reply.status_code == 404 else "try again later"
