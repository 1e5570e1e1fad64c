"""Whose request is a probe: the key says so, and nothing else that a client can send.

A probe is answered as any user's request is, by the same routes and the same code; only what counts it differs. It is marked in the
ASGI scope, which no client can write to.
"""

import hashlib
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from guard_server.errors import GuardConfigError, NotFoundError
from guard_server.middleware.auth import KEY_IN_SCOPE, load_key_digests
from guard_server.middleware.error_body import send_error
from guard_server.settings import AuthSettings

_MARK = "p2p_guard.is_probe"


def is_probe(scope: Scope) -> bool:
    """Whether a request carries a prober's key."""
    return scope.get(_MARK) is True


def load_probe_digests(settings: AuthSettings, users: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return the SHA-256 of every prober's key.

    Args:
        settings: Where they are.
        users: The users' digests.

    Raises:
        GuardConfigError: The file can't be read, or a user has the same key.
    """
    given = AuthSettings(
        keys_file=settings.probe_keys_file, keys_env=settings.probe_keys_env, allow_anonymous=True
    )
    found = load_key_digests(given)
    if set(found) & set(users):
        raise GuardConfigError(
            f"a key stands in both {settings.keys_env} and {settings.probe_keys_env} (or their files): its user would pass for "
            "a prober. Give the prober a key of its own."
        )
    return found


class ProbeKeyMiddleware:
    """Marks what is asked with a prober's key, and lets that key ask questions only. It stands behind the authentication.

    Args:
        app: What comes next.
        digests: SHA-256 of the probers' keys.
        paths: The paths that a prober may use.
    """

    def __init__(self, app: ASGIApp, digests: tuple[bytes, ...], paths: frozenset[str]) -> None:
        self._app = app
        self._digests = digests
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Mark the request and pass it on, or answer 404."""
        if scope["type"] == "http":
            scope[_MARK] = self._has_probe_key(scope)
            if scope[_MARK] and scope["path"] not in self._paths:
                await send_error(send, NotFoundError("there is no such route for a prober"))
                return
        await self._app(scope, receive, send)

    def _has_probe_key(self, scope: Scope) -> bool:
        if KEY_IN_SCOPE in scope:
            # Known to the authentication already, which compared it in constant time.
            return scope[KEY_IN_SCOPE] in self._digests
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, key = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        given = hashlib.sha256(key.strip()).digest()
        # Every digest is compared, so that the time says nothing of which one fits.
        fits = [hmac.compare_digest(given, known) for known in self._digests]
        return scheme.lower() == b"bearer" and any(fits)
