"""Holding the engine to whole label words, where the first token does not decide: by a grammar of the allowed texts.

vLLM applies the grammar before it takes log-probabilities. So neither those of the labels nor where the free model would have
gone are known here, and neither is told.
"""

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Answer, Outcome, Verdict
from guard_server.asking import EngineRequest
from guard_server.engine.base import Endpoint, Payload
from p2p.projection import project_word
from p2p.tasks import ClassificationTask


class SpelledWordHold:
    """One of the extended words, spelled out.

    Args:
        adapter: Who is asked.
        task: Its task.
    """

    tells_logprobs = False

    def __init__(self, adapter: LoadedAdapter, task: ClassificationTask) -> None:
        self._adapter = adapter
        self._task = task

    def put_on(self, asked: EngineRequest) -> EngineRequest:
        """Return the request, held."""
        words = [self._task.words[label] for label in self._adapter.allowed_labels(self._task)]
        # A token is at least a byte: however the engine cuts a word into tokens, it gets to its end.
        longest = max(len(word.encode()) for word in words)
        return asked.having(max_tokens=longest, structured_outputs={"choice": words})

    def answer(self, endpoint: Endpoint, choice: Payload) -> Answer:
        """Return the projected label of a choice; raises KeyError or ValueError where it can't be read."""
        said = choice["message"]["content"] if endpoint is Endpoint.CHAT else choice["text"]
        found = project_word(self._task, said or "")
        if found.answer is None:
            raise ValueError("the engine was not held to the label words")
        escaped = Outcome.PROJECTED if found.extended else Outcome.ESCAPED
        return Answer(
            text=found.answer,
            finish_reason="stop",
            verdict=Verdict(Outcome.UNGUARDED if self._adapter.unguarded else escaped),
        )
