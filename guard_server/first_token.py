"""Holding the engine by the first token of a label word, where that decides: one step, and true log-probabilities.

``allowed_token_ids`` holds the engine; the log-probabilities that vLLM gives beside it are from before that, so that they tell
where the free model would have gone.
"""

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Answer, Outcome, TokenLogprob, Verdict
from guard_server.asking import EngineRequest
from guard_server.engine.base import Endpoint, Payload
from p2p.projection import project_logprobs
from p2p.tasks import ClassificationTask

_MOST_LOGPROBS = 128
"""vLLM's limit on ``logprob_token_ids``."""


class FirstTokenHold:
    """One token out of the first ones of the extended words, with the log-probabilities of all 2n.

    Past vLLM's limit only those of the extended words are asked for, and where the free model stood is not known; past it
    again, none.

    Args:
        adapter: Who is asked.
        task: Its task, whose words differ in their first tokens.
    """

    def __init__(self, adapter: LoadedAdapter, task: ClassificationTask) -> None:
        self._adapter = adapter
        self._task = task
        both, size = task.first_tokens, len(task.labels)
        half = both[:size] if adapter.is_plain_view else both[size:]
        self._seen = next((seen for seen in (both, half) if len(seen) <= _MOST_LOGPROBS), ())

    @property
    def tells_logprobs(self) -> bool:
        """Whether the labels' log-probabilities are known."""
        return bool(self._seen)

    def put_on(self, asked: EngineRequest) -> EngineRequest:
        """Return the request, held."""
        held = asked.having(
            max_tokens=1,
            allowed_token_ids=[
                self._task.first_tokens[label] for label in self._adapter.allowed_labels(self._task)
            ],
            return_tokens_as_token_ids=True,
        )
        if self._seen:
            held = held.having(logprob_token_ids=list(self._seen))
        if asked.endpoint is Endpoint.CHAT:
            return held.having(logprobs=True, top_logprobs=0)
        return held.having(logprobs=1)

    def answer(self, endpoint: Endpoint, choice: Payload) -> Answer:
        """Return the projected label of a choice; raises KeyError, IndexError or ValueError where it can't be read."""
        task = self._task
        token, logprobs = _token_and_logprobs(endpoint, choice)
        label = task.first_tokens.index(token)
        text = task.labels[task.space.project(label)]
        return Answer(
            text=text,
            finish_reason="stop",
            verdict=Verdict(self._outcome(label), self._free_run_extended(logprobs)),
            logprobs=self._projected(text, logprobs),
        )

    def _projected(self, text: str, logprobs: dict[int, float]) -> tuple[TokenLogprob, ...] | None:
        """Return the label as the one token that it is to a client, with all others; None where they are not known."""
        if not self._seen or (self._adapter.unguarded and not self._adapter.is_plain_view):
            return None
        found = project_logprobs(self._task, logprobs, extended=not self._adapter.is_plain_view)
        best = sorted(found.items(), key=lambda item: -item[1])
        return (TokenLogprob(text, found[text], tuple(best)),)

    def _outcome(self, label: int) -> Outcome:
        if self._adapter.unguarded:
            return Outcome.UNGUARDED
        return Outcome.PROJECTED if self._task.space.is_extended(label) else Outcome.ESCAPED

    def _free_run_extended(self, logprobs: dict[int, float]) -> bool | None:
        task = self._task
        if self._adapter.manifest.defence == "none" or self._seen != task.first_tokens:
            return None
        return max(task.first_tokens, key=lambda known: logprobs[known]) in task.extended_first_tokens


def _token_and_logprobs(endpoint: Endpoint, choice: Payload) -> tuple[int, dict[int, float]]:
    """Return the sampled token and the log-probabilities by token id, from before the engine was held to some."""
    said = choice["logprobs"]
    if endpoint is Endpoint.CHAT:
        entry = said["content"][0]
        token, named = entry["token"], {found["token"]: found["logprob"] for found in entry["top_logprobs"]}
    else:
        token, named = said["tokens"][0], said["top_logprobs"][0]
    return _token_id(token), {_token_id(name): value for name, value in named.items()}


def _token_id(name: str) -> int:
    return int(name.removeprefix("token_id:"))
