"""API keys: every route but the health ones wants one."""

import base64
import binascii
import hashlib
import hmac
import os
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from guard_server.errors import AuthenticationError, GuardConfigError
from guard_server.middleware.error_body import send_error
from guard_server.settings import AuthSettings

HEALTH_PATHS = frozenset({"/livez", "/readyz", "/startupz"})

_CHALLENGE = 'Basic realm="p2p-guard: the admin key is the password", charset="UTF-8"'

KEY_IN_SCOPE = "p2p_guard.key"
"""Where the request's scope has the digest of the key that it came with."""


def load_key_digests(settings: AuthSettings) -> tuple[bytes, ...]:
    """Return the SHA-256 of every key; the keys themselves are not kept.

    Raises:
        GuardConfigError: There is no key, and anonymous use is not allowed.
    """
    found = os.environ.get(settings.keys_env, "")
    if settings.keys_file:
        try:
            found += "\n" + settings.keys_file.read_text(encoding="utf-8")
        except OSError as error:
            raise GuardConfigError(f"can't read auth.keys_file: {error}") from error
    listed = [key.strip() for key in re.split(r"[,\n]", found)]
    keys = [key for key in listed if key and not key.startswith("#")]
    if not keys and not settings.allow_anonymous:
        raise GuardConfigError(
            f"there is no API key. Put one into the environment ({settings.keys_env}=$(openssl rand -hex 24)) or into "
            "auth.keys_file; where something else guards the listener, set auth.allow_anonymous."
        )
    return tuple(hashlib.sha256(key.encode()).digest() for key in keys)


class AuthMiddleware:
    """Lets a request pass when it carries a known key.

    Args:
        app: What comes next.
        digests: SHA-256 of the keys; empty lets everybody pass.
        open_paths: Paths that need no key.
        password_paths: Paths where the key may also come as the password of HTTP Basic (RFC 7617), whatever the user's name:
            pages for browsers, which change nothing. A browser sends a password by itself, also where another site
            leads it, so no other path takes one.
    """

    def __init__(
        self,
        app: ASGIApp,
        digests: tuple[bytes, ...],
        open_paths: frozenset[str] = HEALTH_PATHS,
        password_paths: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._digests = digests
        self._open_paths = open_paths
        self._password_paths = password_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass the request on."""
        if scope["type"] == "http" and scope["path"] not in self._open_paths and self._digests:
            known = self._known_key(scope)
            if known is None:
                await send_error(send, self._refusal(scope))
                return
            scope[KEY_IN_SCOPE] = known
        await self._app(scope, receive, send)

    def _known_key(self, scope: Scope) -> bytes | None:
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, sent = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        takes_password = scheme.lower() == b"basic" and scope["path"] in self._password_paths
        key = _password(sent) if takes_password else sent.strip()
        given = hashlib.sha256(key).digest()
        # Every digest is compared, so that the time says nothing of which one fits.
        fits = [hmac.compare_digest(given, known) for known in self._digests]
        return given if (scheme.lower() == b"bearer" or takes_password) and any(fits) else None

    def _refusal(self, scope: Scope) -> AuthenticationError:
        error = AuthenticationError("a valid API key is needed: send `Authorization: Bearer <key>`")
        if scope["path"] in self._password_paths:
            error.headers = {"www-authenticate": _CHALLENGE, "cache-control": "no-store"}
        return error


def _password(sent: bytes) -> bytes:
    try:
        return base64.b64decode(sent.strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
