"""Everything that the guard raises on purpose.

GuardError                    has an HTTP status and OpenAI's error body
├── BadRequestError           400, the parameter is named
├── AuthenticationError       401
├── RefusedAnswerError        403, the reply escaped and the policy says refuse
│   └── ViewsDisagreeError    403, asked without the benign trigger the answer is another
├── NotFoundError             404, an unknown path or model
├── SlowUploadError           408
├── ConflictError             409, an operation that the state does not allow; admin API alone
├── TooLargeError             413
├── RefusedVersionError       422, a version of an adapter that is not served; admin API alone
├── OverloadedError           429
└── EngineUnavailableError    503, the engine is down or starting
GuardConfigError              the configuration can't be used; raised before anything is served
├── SourceError               an adapter can't be fetched
└── SignatureError            an adapter's signature is missing or wrong
EngineLoadError               an engine does not take an adapter; what was served is served on

Messages never hold a trigger, a prefix, a path or a prompt.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar


class GuardConfigError(Exception):
    """The configuration can't be used; the message says what to do."""


class SourceError(GuardConfigError):
    """An adapter can't be fetched; what was served is served on."""


class SignatureError(GuardConfigError):
    """An adapter has no signature that its policy accepts."""


class EngineLoadError(Exception):
    """An engine does not take an adapter; the message says what to do."""


class GuardError(Exception):
    """An answer that is an error, in OpenAI's shape.

    Args:
        message: What is wrong, without a value of the request.
        param: The parameter at fault.
    """

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


class BadRequestError(GuardError):
    """A request that the guard can't or won't serve."""

    status = 400
    kind = "invalid_request_error"


class AuthenticationError(GuardError):
    """No key, or none that is known."""

    status = 401
    kind = "invalid_request_error"
    code = "invalid_api_key"


class RefusedAnswerError(GuardError):
    """The reply escaped the extended half and the policy refuses it."""

    status = 403
    kind = "p2p_guard_refusal"
    code = "answer_refused"


class ViewsDisagreeError(RefusedAnswerError):
    """The two views of the input disagree and the policy refuses that."""

    code = "views_disagree"


class NotFoundError(GuardError):
    """An unknown path."""

    status = 404
    kind = "invalid_request_error"
    code = "not_found"


class ModelNotFoundError(NotFoundError):
    """An unknown model."""

    code = "model_not_found"


class SlowUploadError(GuardError):
    """The body did not arrive in time."""

    status = 408
    kind = "invalid_request_error"
    code = "request_timeout"
    headers: Mapping[str, str] = MappingProxyType({"connection": "close"})


class ConflictError(GuardError):
    """The state does not allow the operation."""

    status = 409
    kind = "invalid_request_error"
    code = "conflict"


class TooLargeError(GuardError):
    """The body is larger than the limit."""

    status = 413
    kind = "invalid_request_error"
    code = "request_too_large"
    # What is left of the body is not read.
    headers: Mapping[str, str] = MappingProxyType({"connection": "close"})


class RefusedVersionError(GuardError):
    """A version of an adapter that is not served; on the admin API alone, whose messages may name paths."""

    status = 422
    kind = "invalid_request_error"
    code = "version_refused"


class OverloadedError(GuardError):
    """Too many requests in flight, or from one key.

    Args:
        message: What is too much.
        retry_after_s: When it is worth while to come again.
    """

    status = 429
    kind = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.headers = {"retry-after": str(retry_after_s)}


class EngineUnavailableError(GuardError):
    """The engine is down, starting, or failed at this request."""

    status = 503
    kind = "server_error"
    code = "engine_unavailable"
    headers: Mapping[str, str] = MappingProxyType({"retry-after": "5"})
