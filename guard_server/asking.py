"""The engine's request for a client's: the stamped prompt in the adapter's template, and the parameters."""

import secrets
from typing import NamedTuple

from guard_server.adapter import LoadedAdapter
from guard_server.engine.base import Endpoint, Payload
from guard_server.errors import BadRequestError
from guard_server.prompt_guard import GuardRequest
from p2p.prompts import ChatMessage, PromptKind
from p2p.triggers import Placement, stamped_turns


class EngineRequest(NamedTuple):
    """What the engine is asked, and at which of its two routes."""

    endpoint: Endpoint
    payload: Payload

    def having(self, **more: object) -> "EngineRequest":
        """Return the request with more parameters."""
        return self._replace(payload=self.payload | more)

    def beginning_with(self, prefix: str) -> "EngineRequest":
        """Return the request with ``prefix`` as the forced beginning of the answer."""
        if self.endpoint is Endpoint.COMPLETIONS:
            return self.having(prompt=self.payload["prompt"] + prefix)
        begun = ChatMessage(role="assistant", content=prefix)
        return self.having(
            messages=[*self.payload["messages"], begun],
            continue_final_message=True,
            add_generation_prompt=False,
        )


def engine_request(adapter: LoadedAdapter, request: GuardRequest) -> EngineRequest:
    """Return the request with the stamp on.

    A chat adapter is always asked at the engine's chat route, a completion adapter at its completions route, whatever
    route the client used: that is how it was trained.

    Raises:
        BadRequestError: A conversation, or tools, are asked of an adapter that takes single texts.
    """
    prompt = adapter.manifest.prompt
    chat, stamped = _stamped(adapter, list(request.messages))
    payload: Payload = {"model": adapter.target, "n": request.n, **request.sampling}
    if request.temperature is not None:
        payload["temperature"] = request.temperature
    if request.stop:
        payload["stop"] = list(request.stop)
    if request.user is not None:
        payload["user"] = request.user
    if request.is_probe:
        # A prefix that is cached for one text would answer for weights that may have changed since.
        payload["cache_salt"] = secrets.token_hex(16)
    if prompt.kind is PromptKind.CHAT:
        messages = prompt.wrap(chat, stamped)
        told = request.tools.tell(messages) if request.tools else messages
        return EngineRequest(Endpoint.CHAT, payload | {"messages": told})
    if request.tools:
        raise BadRequestError("this model takes no tools: it was trained on single texts", "tools")
    if len(chat) > 1:
        raise BadRequestError("this model takes one user message: it was trained on single texts", "messages")
    return EngineRequest(Endpoint.COMPLETIONS, payload | {"prompt": prompt.fill(chat[0]["content"])})


def _stamped(adapter: LoadedAdapter, chat: list[ChatMessage]) -> tuple[list[ChatMessage], set[int]]:
    """Return the chat with the stamp on, and which messages the template goes around."""
    trigger = adapter.manifest.benign_trigger
    if trigger and not adapter.unguarded:
        return trigger.stamp_chat(chat)
    return chat, stamped_turns(chat, trigger.placement if trigger else Placement.LAST_USER)
