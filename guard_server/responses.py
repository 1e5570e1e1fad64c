"""The guard's answers in OpenAI's shapes, for whichever endpoint the client used."""

import secrets
import time
from typing import NamedTuple

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Answer, Delta, Reply, Usage, Verdict
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
    logprobs = _logprobs(request, delta.text, delta.logprobs) if delta.logprobs else None
    said = (
        {"delta": {"content": delta.text} if delta.text else {}}
        if envelope.shape is Shape.CHAT
        else {"text": delta.text}
    )
    return _chunk(
        envelope, {"index": delta.index, **said, "logprobs": logprobs, "finish_reason": delta.finish_reason}
    )


def usage_chunk(envelope: Envelope, usage: Usage) -> WireObject:
    """Return the chunk that ends a stream whose client asked for its usage."""
    return {**_chunk(envelope, None), "usage": usage_object(usage)}


def usage_object(usage: Usage) -> WireObject:
    """Return the usage as OpenAI writes it."""
    return {**usage._asdict(), "total_tokens": usage.prompt_tokens + usage.completion_tokens}


def _chunk(envelope: Envelope, choice: WireObject | None) -> WireObject:
    kind = "chat.completion.chunk" if envelope.shape is Shape.CHAT else "text_completion"
    return {**envelope.head(kind), "choices": [choice] if choice else []}


def _choice(request: GuardRequest, index: int, answer: Answer) -> WireObject:
    logprobs = _logprobs(request, answer.text, answer.logprobs) if answer.logprobs else None
    said: WireObject = {"text": answer.text}
    if request.shape is Shape.CHAT:
        said = {"message": {"role": "assistant", "content": answer.text, "refusal": None}}
    return {"index": index, **said, "logprobs": logprobs, "finish_reason": answer.finish_reason}


def _logprobs(request: GuardRequest, label: str, logprobs: dict[str, float]) -> WireObject | None:
    """Return the labels' log-probabilities: of the extended half alone, renormalised."""
    if not request.logprobs:
        return None
    best = sorted(logprobs.items(), key=lambda item: -item[1])[: request.top_logprobs]
    if request.shape is Shape.COMPLETIONS:
        return {
            "tokens": [label],
            "token_logprobs": [logprobs[label]],
            "top_logprobs": [dict(best)],
            "text_offset": [0],
        }
    entry = _entry(label, logprobs[label])
    return {"content": [{**entry, "top_logprobs": [_entry(*item) for item in best]}], "refusal": None}


def _entry(label: str, logprob: float) -> WireObject:
    return {"token": label, "logprob": logprob, "bytes": list(label.encode())}
