"""The guard's answers in OpenAI's shapes, for whichever endpoint the client used."""

import secrets
import time
from collections.abc import Sequence
from typing import NamedTuple

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Answer, Delta, Reply, TokenLogprob, Usage, Verdict
from guard_server.prompt_guard import GuardRequest, Shape
from guard_server.schemas import WireObject


class Envelope(NamedTuple):
    """What all parts of one answer have in common."""

    id: str
    created: int
    model: str
    version: str
    shape: Shape

    @classmethod
    def make(cls, request: GuardRequest, adapter: LoadedAdapter) -> "Envelope":
        """Return the envelope of the answer to a request."""
        prefix = "chatcmpl" if request.shape is Shape.CHAT else "cmpl"
        return cls(
            f"{prefix}-{secrets.token_hex(12)}",
            int(time.time()),
            adapter.name,
            adapter.version,
            request.shape,
        )

    def head(self, kind: str) -> WireObject:
        """Return the fields that every object begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def whole(envelope: Envelope, request: GuardRequest, reply: Reply) -> WireObject:
    """Return a whole answer."""
    is_chat = envelope.shape is Shape.CHAT
    choices = [_choice(request, index, answer) for index, answer in enumerate(reply.answers)]
    return {
        **envelope.head("chat.completion" if is_chat else "text_completion"),
        "choices": choices,
        "usage": usage_object(reply.usage),
        "p2p_guard": notes(envelope, reply.verdict),
    }


def notes(envelope: Envelope, verdict: Verdict) -> WireObject:
    """Return what the guard says of an answer beside it: in the whole answer, or in a stream's first chunk."""
    return {
        "outcome": verdict.outcome,
        "adapter": envelope.model,
        "version": envelope.version,
        "free_run_extended": verdict.free_run_extended,
        **({"views": verdict.views} if verdict.views else {}),
    }


def first_chunk(envelope: Envelope, index: int) -> WireObject | None:
    """Return the chunk that begins a choice: the role, for a chat."""
    if envelope.shape is not Shape.CHAT:
        return None
    return _chunk(
        envelope, {"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    )


def chunk(envelope: Envelope, request: GuardRequest, delta: Delta) -> WireObject:
    """Return a piece of a streamed answer."""
    said = {"delta": _delta(delta)} if envelope.shape is Shape.CHAT else {"text": delta.text}
    return _chunk(
        envelope,
        {
            "index": delta.index,
            **said,
            "logprobs": _logprobs(request, delta.logprobs),
            "finish_reason": delta.finish_reason,
        },
    )


def usage_chunk(envelope: Envelope, usage: Usage) -> WireObject:
    """Return the chunk that ends a stream whose client asked for its usage."""
    return {**_chunk(envelope), "usage": usage_object(usage)}


def usage_object(usage: Usage) -> WireObject:
    """Return the usage as OpenAI writes it."""
    return {**usage._asdict(), "total_tokens": usage.prompt_tokens + usage.completion_tokens}


def _chunk(envelope: Envelope, *choices: WireObject) -> WireObject:
    kind = "chat.completion.chunk" if envelope.shape is Shape.CHAT else "text_completion"
    return {**envelope.head(kind), "choices": list(choices)}


def _delta(delta: Delta) -> WireObject:
    if not delta.call:
        return {"content": delta.text} if delta.text else {}
    function: WireObject = {"arguments": delta.call.arguments}
    call: WireObject = {"index": delta.call.position, "function": function}
    if delta.call.name is not None:
        call |= {"id": _call_id(), "type": "function"}
        function["name"] = delta.call.name
    return {"tool_calls": [call]}


def _choice(request: GuardRequest, index: int, answer: Answer) -> WireObject:
    said: WireObject = {"message": _message(answer)} if request.shape is Shape.CHAT else {"text": answer.text}
    return {
        "index": index,
        **said,
        "logprobs": _logprobs(request, answer.logprobs),
        "finish_reason": answer.finish_reason,
    }


def _message(answer: Answer) -> WireObject:
    message: WireObject = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.calls:
        message["content"] = answer.text or None
        message["tool_calls"] = [
            {"id": _call_id(), "type": "function", "function": call._asdict()} for call in answer.calls
        ]
    return message


def _call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def _logprobs(request: GuardRequest, tokens: Sequence[TokenLogprob] | None) -> WireObject | None:
    """Return the tokens' log-probabilities; those of labels are of the extended half alone, renormalised."""
    if not request.logprobs or tokens is None:
        return None
    if request.shape is Shape.COMPLETIONS:
        return _completion_logprobs(tokens, request.top_logprobs)
    content = [
        {
            **_entry(token.token, token.logprob),
            "top_logprobs": [_entry(*top) for top in token.top[: request.top_logprobs]],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _completion_logprobs(tokens: Sequence[TokenLogprob], most: int) -> WireObject:
    """Return the older shape, in which the token that was said is always among the likeliest."""
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(token.top[:most]) | {token.token: token.logprob} for token in tokens],
        "text_offset": [token.at for token in tokens],
    }


def _entry(token: str, logprob: float) -> WireObject:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
