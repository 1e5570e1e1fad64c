"""An engine for fast tests of the guard: its answers come from a function. It proves nothing about a model."""

from collections.abc import AsyncGenerator, Callable, Iterator

from guard_server.engine.base import Endpoint, Payload

Answer = Callable[[Endpoint, Payload], Payload]


class FakeEngine:
    """Answers with what a function says, and remembers what it was asked.

    Args:
        answer: Endpoint and payload to a whole response in OpenAI's shape.
        pieces: How to cut a text for streaming; by default into single characters.
    """

    def __init__(self, answer: Answer, pieces: Callable[[str], list[str]] = list) -> None:
        self.asked: list[Payload] = []
        self._answer = answer
        self._pieces = pieces

    async def complete(self, endpoint: Endpoint, payload: Payload) -> Payload:
        """Return the function's answer."""
        self.asked.append(payload)
        return self._answer(endpoint, payload)

    async def stream(self, endpoint: Endpoint, payload: Payload) -> AsyncGenerator[list[Payload], None]:
        """Yield the function's answer in pieces, then its finish reasons, then its usage; none comes with another."""
        self.asked.append(payload)
        whole = self._answer(endpoint, payload)
        for choice in whole["choices"]:
            for text, logprobs in self._cut(endpoint, choice):
                said: Payload = {"delta": {"content": text}} if endpoint is Endpoint.CHAT else {"text": text}
                more = {"index": choice["index"], "finish_reason": None, "logprobs": logprobs}
                yield [{"choices": [{**more, **said}]}]
            end: Payload = {"delta": {}} if endpoint is Endpoint.CHAT else {"text": ""}
            yield [{"choices": [{"index": choice["index"], "finish_reason": choice["finish_reason"], **end}]}]
        yield [{"choices": [], "usage": whole["usage"]}]

    def _cut(self, endpoint: Endpoint, choice: Payload) -> Iterator[tuple[str, Payload | None]]:
        """Yield a choice's text in pieces, or token by token where it has log-probabilities, as vLLM does."""
        text = choice["message"]["content"] if endpoint is Endpoint.CHAT else choice["text"]
        if not (logprobs := choice.get("logprobs")):
            yield from ((piece, None) for piece in self._pieces(text))
            return
        names = (
            [entry["token"] for entry in logprobs["content"]] if "content" in logprobs else logprobs["tokens"]
        )
        for at, token in enumerate(names):
            said = token if text.startswith(token) else ""
            text = text.removeprefix(said)
            yield said, {key: values[at : at + 1] for key, values in logprobs.items()}
