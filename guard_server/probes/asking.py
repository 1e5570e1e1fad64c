"""Who is asked by a probe: a guard somewhere else over HTTP, or this very process without any."""

import asyncio
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, Self

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    AuthenticationError,
    NotFoundError,
    OpenAIError,
)

from guard_server.adapter import LoadedAdapter
from guard_server.errors import (
    EngineUnavailableError,
    GuardConfigError,
    GuardError,
    ModelNotFoundError,
    OverloadedError,
    RefusedAnswerError,
)
from guard_server.pipeline import GuardPipeline
from guard_server.prompt_guard import GuardRequest, question
from p2p.prompts import ChatMessage

_TIMEOUT_S = 120.0
_REFUSED_CODE = RefusedAnswerError.code


class Reason(StrEnum):
    """Why a question has no answer."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    OVERLOADED = "overloaded"
    FAILED = "failed"
    """The guard or its engine failed."""
    REJECTED = "rejected"
    """The guard does not take this question; asking again would not help."""


class UnansweredError(Exception):
    """A question got no answer.

    Args:
        reason: Why.
        retry_after: Seconds that the guard asks to wait; None where it names none.
    """

    def __init__(self, reason: Reason, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Answer(NamedTuple):
    """What came back.

    Attributes:
        text: The projected answer; None where the guard refused to let it through.
        extended: Whether the model, left free, answered in the extended half; None where it was not left free.
        version: The adapter's version.
    """

    text: str | None
    extended: bool | None
    version: str | None


class Asker(Protocol):
    """Somebody who answers chats."""

    @property
    def adapter(self) -> str:
        """The adapter's public name."""
        ...

    async def ask(self, chat: list[ChatMessage]) -> Answer:
        """Return the answer.

        Raises:
            UnansweredError: There is none.
            GuardConfigError: There will never be one: no such adapter, or a key that is not known.
        """
        ...


class HttpAsker:
    """Asks a guard over its API. Close it, or use it as a context.

    Args:
        url: The API, with ``/v1``.
        key: The API key: one of ``P2P_GUARD_PROBE_KEYS``, so that the guard knows a probe.
        adapter: The adapter's public name.
    """

    def __init__(self, url: str, key: str, adapter: str) -> None:
        self.adapter = adapter
        # Retries are counted, and so they are not the client's.
        self._client = AsyncOpenAI(base_url=url, api_key=key or "none", max_retries=0, timeout=_TIMEOUT_S)

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, chat: list[ChatMessage]) -> Answer:
        """Return the answer; see :meth:`Asker.ask`."""
        messages: Any = chat
        try:
            reply = await self._client.chat.completions.create(
                model=self.adapter, messages=messages, temperature=0
            )
        except APIStatusError as error:
            return _refusal_or_raise(error)
        except APITimeoutError as error:
            raise UnansweredError(Reason.TIMEOUT) from error
        except APIConnectionError as error:
            raise UnansweredError(Reason.UNREACHABLE) from error
        except OpenAIError as error:
            raise UnansweredError(Reason.FAILED) from error
        notes = (reply.model_extra or {}).get("p2p_guard") or {}
        text = reply.choices[0].message.content or ""
        return Answer(text, notes.get("free_run_extended"), notes.get("version"))


class PipelineAsker:
    """Asks an adapter of this process: no key, no header, no listener, so that nobody can look like it.

    Args:
        pipeline: What answers.
        adapter: The adapter's public name.
    """

    def __init__(self, pipeline: GuardPipeline, adapter: str) -> None:
        self.adapter = adapter
        self._pipeline = pipeline

    async def ask(self, chat: list[ChatMessage]) -> Answer:
        """Return the answer; see :meth:`Asker.ask`."""
        try:
            with self._pipeline.hold(self.adapter) as held:
                async with asyncio.timeout(_TIMEOUT_S):
                    return await self._answer(
                        held, question(self.adapter, tuple(chat))._replace(is_probe=True)
                    )
        except ModelNotFoundError as error:
            raise GuardConfigError(f"no adapter is called {self.adapter!r}") from error
        except TimeoutError as error:
            raise UnansweredError(Reason.TIMEOUT) from error
        except OverloadedError as error:
            raise UnansweredError(Reason.OVERLOADED) from error
        except EngineUnavailableError as error:
            raise UnansweredError(Reason.FAILED) from error
        except GuardError as error:
            raise UnansweredError(Reason.REJECTED) from error

    async def _answer(self, adapter: LoadedAdapter, asked: GuardRequest) -> Answer:
        try:
            reply = await self._pipeline.respond(asked, adapter)
        except RefusedAnswerError:
            return Answer(None, extended=False, version=adapter.version)
        return Answer(reply.answers[0].text, reply.verdict.free_run_extended, adapter.version)


def _refusal_or_raise(error: APIStatusError) -> Answer:
    if error.status_code == 403 and error.code == _REFUSED_CODE:
        # The reply escaped and the guard kept it back: the attacker got nothing, and neither did the user.
        return Answer(None, extended=False, version=None)
    if isinstance(error, AuthenticationError | NotFoundError):
        raise GuardConfigError(f"the guard says {error.status_code}: {error.message}") from error
    if error.status_code == 429:
        raise UnansweredError(
            Reason.OVERLOADED, _seconds(error.response.headers.get("retry-after"))
        ) from error
    raise UnansweredError(Reason.FAILED if error.status_code >= 500 else Reason.REJECTED) from error


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
