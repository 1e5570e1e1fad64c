"""Ways of asking for free text: a run in which the model is left free to say the prefix, or one in which it is forced."""

from typing import NamedTuple

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Outcome, Usage, Verdict
from guard_server.asking import EngineRequest, engine_request
from guard_server.engine.base import Endpoint, Payload
from guard_server.errors import EngineUnavailableError
from guard_server.prompt_guard import GuardRequest
from guard_server.settings import EscapePolicy
from p2p.prompts import PromptKind
from p2p.tasks import GenerationTask

_MOST_TOP_LOGPROBS = 20
"""What vLLM takes unless it is started otherwise."""


class TextRun(NamedTuple):
    """One way of asking for text.

    Attributes:
        adapter: Who is asked.
        task: Its task.
        request: What the client asks.
        default_max_tokens: Answer tokens for a chat whose client names none, where the engine needs a number.
        is_forced: Whether the prefix is put in front of the answer, or the model is left free to say it.
        is_retry: Whether a free run escaped before.
    """

    adapter: LoadedAdapter
    task: GenerationTask
    request: GuardRequest
    default_max_tokens: int
    is_forced: bool = False
    is_retry: bool = False

    def again(self) -> "TextRun":
        """Return the forced run that follows an escape."""
        return self._replace(is_forced=True, is_retry=True)

    def asked(self) -> EngineRequest:
        """Return what the engine is asked; the client's budget buys answer tokens, not prefix tokens."""
        asked = engine_request(self.adapter, self.request)
        tokens = self.request.max_tokens
        if tokens is None and self.adapter.manifest.prompt.kind is PromptKind.COMPLETION:
            # Left out, vLLM's completions route takes 16; its chat route takes all that fits.
            tokens = self.default_max_tokens
        if tokens is not None:
            asked = asked.having(max_tokens=tokens + (0 if self.is_forced else self._own_tokens))
        asked = asked.having(**self._grammar(), **self._logprobs(asked.endpoint))
        return asked.beginning_with(self.task.prefix) if self.is_forced else asked

    def verdict(self, *, extended: bool) -> Verdict:
        """Return the verdict on a reply that carried the prefix, or did not."""
        if self.adapter.unguarded:
            return Verdict(Outcome.UNGUARDED, extended if self.adapter.manifest.defence == "p2p" else None)
        if self.is_forced:
            retried = Verdict(Outcome.RETRIED, free_run_extended=False)
            return retried if self.is_retry else Verdict(Outcome.PROJECTED)
        return Verdict(Outcome.PROJECTED if extended else Outcome.ESCAPED, extended)

    def usage(self, said: Payload, carried: int) -> Usage:
        """Return the client's usage.

        Args:
            said: The engine's usage.
            carried: How many choices said the prefix themselves.

        Raises:
            EngineUnavailableError: The engine's can't be read.
        """
        in_prompt = self.task.prefix_tokens if self.is_forced else 0
        in_answers = self.task.prefix_tokens * carried
        try:
            prompt, answers = said["prompt_tokens"] - in_prompt, said["completion_tokens"] - in_answers
        except (KeyError, TypeError) as error:
            raise EngineUnavailableError("the engine's usage can't be read") from error
        return Usage(max(0, prompt), max(0, answers))

    @property
    def _own_tokens(self) -> int:
        return 0 if self.adapter.unguarded else self.task.prefix_tokens

    def _grammar(self) -> Payload:
        grammar = self.request.tools.grammar() if self.request.tools else self.request.structure
        return {"structured_outputs": grammar} if grammar else {}

    def _logprobs(self, endpoint: Endpoint) -> Payload:
        wanted = self.request.top_logprobs
        if not self.request.logprobs:
            return {}
        if endpoint is Endpoint.COMPLETIONS:
            return {"logprobs": wanted}
        # vLLM counts the token that was drawn among them: without one more, the last of the likeliest could be missing.
        return {"logprobs": True, "top_logprobs": min(wanted + 1, _MOST_TOP_LOGPROBS) if wanted else 0}


def first_run(
    adapter: LoadedAdapter, task: GenerationTask, request: GuardRequest, default_max_tokens: int
) -> TextRun:
    """Return how text is asked for at first: free, or with the prefix forced where a free answer could not be kept true.

    - Stop texts apply to the answer, and one that occurs in the prefix would end the reply inside it. Forcing for those
      alone would tell a client, stop text by stop text, what the secret prefix is: so it is forced for all.
    - A grammar has no room for the prefix. Forced, it is part of the prompt, and the grammar holds what comes after it.
    - Log-probabilities are those of the answer's tokens given the prefix, which are the same, and none is of the prefix.
    - Several choices may escape at different times of a stream. Where escapes are retried, all are forced, streamed or not,
      so that both ways give the same for a seed.
    """
    several = request.n > 1 and adapter.escape_policy is EscapePolicy.RETRY
    forced = bool(request.stop) or request.logprobs or request.is_held or several
    return TextRun(adapter, task, request, default_max_tokens, is_forced=forced and not adapter.unguarded)
