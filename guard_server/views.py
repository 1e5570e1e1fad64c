"""Two views of one input: the answer with the benign trigger, and the one without it. Where they differ, the input is suspect.

The question is about the input, so that both are the most likely answers, whatever the client's sampling was.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from guard_server.adapter import LoadedAdapter
from guard_server.answers import Answer, Outcome, TokenLogprob, Verdict
from guard_server.engine.base import Engine
from guard_server.errors import BadRequestError
from guard_server.pipeline import answer_with
from guard_server.prompt_guard import GuardRequest
from guard_server.settings import AuditSettings
from p2p.final_number import final_number, same_number
from p2p.normalise import AnswerStyle
from p2p.tasks import ClassificationTask, GenerationTask

_MOST_WORDS = 512
T = TypeVar("T")
U = TypeVar("U")


class ViewComparison(NamedTuple):
    """What two views of an input say.

    Attributes:
        guarded: The projected answer with the benign trigger.
        plain: The projected answer without it.
        agree: Whether they are the same answer.
        distance: How far apart they are, 0 to 1: the total variation between the labels' probabilities where they are known, one
            less the shared words' share for free text, else 0 or 1.
    """

    guarded: str
    plain: str
    agree: bool
    distance: float


class TwoViews:
    """Asks both views.

    Args:
        engine: Where answers come from.
        settings: When free text counts as the same.
    """

    def __init__(self, engine: Engine, settings: AuditSettings) -> None:
        self._engine = engine
        self._settings = settings

    async def both(self, adapter: LoadedAdapter, request: GuardRequest) -> ViewComparison:
        """Ask the input of a request in both views at once.

        Raises:
            BadRequestError: The adapter is served without the defence, and so has one view alone.
            GuardError: The request can't be served, or the engine failed.
        """
        require_two_views(adapter)
        guarded, plain = await together(self.guarded(adapter, request), self.plain(adapter, request))
        return self.compare(adapter, guarded, plain)

    async def guarded(self, adapter: LoadedAdapter, request: GuardRequest) -> Answer:
        """Return the most likely answer with the benign trigger."""
        return await self._ask(adapter, request)

    async def plain(self, adapter: LoadedAdapter, request: GuardRequest) -> Answer:
        """Return the most likely answer without it; nobody but the comparison may rely on it."""
        return await self._ask(adapter.plain_view(), request)

    def compare(self, adapter: LoadedAdapter, guarded: Answer, plain: Answer) -> ViewComparison:
        """Compare two answers to the same input."""
        return compare_answers(adapter.manifest.task, guarded, plain, self._settings.similarity_min)

    async def _ask(self, adapter: LoadedAdapter, request: GuardRequest) -> Answer:
        most = self._settings.max_tokens
        reply = await answer_with(self._engine, adapter, _most_likely(request, most), most)
        return reply.answers[0]


async def together(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Do two things at once; when one fails, the other is ended first."""
    tasks = asyncio.ensure_future(one), asyncio.ensure_future(other)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def likeliest_label(logprobs: Sequence[TokenLogprob] | None) -> Answer | None:
    """Return the answer that would have been most likely, of one that is a label; it may have been drawn."""
    if not logprobs:
        return None
    return Answer(logprobs[0].top[0][0], "stop", Verdict(Outcome.PROJECTED), tuple(logprobs))


def require_two_views(adapter: LoadedAdapter) -> None:
    """Refuse an adapter that can be asked in one way alone.

    Raises:
        BadRequestError: It is served without the defence.
    """
    if adapter.unguarded:
        raise BadRequestError("this model is served without the defence and has one view alone", "model")


def compare_answers(
    task: ClassificationTask | GenerationTask, guarded: Answer, plain: Answer, similarity_min: float
) -> ViewComparison:
    """Compare two answers: labels by name, maths by the final number, other text by the words that both have in their order."""
    one, other = _said(guarded), _said(plain)
    if isinstance(task, ClassificationTask):
        distance = _total_variation(guarded, plain)
        return ViewComparison(one, other, one == other, float(one != other) if distance is None else distance)
    if task.style is AnswerStyle.MATHS:
        numbers = final_number(one), final_number(other)
        if numbers != (None, None):
            same = same_number(*numbers)
            return ViewComparison(one, other, same, float(not same))
    similarity = shared_words(one, other)
    return ViewComparison(one, other, similarity >= similarity_min, 1 - similarity)


def shared_words(one: str, other: str) -> float:
    """Return which share of two texts' words they have in common, in the same order (ROUGE-L F1): 0 to 1; 1 for two empty ones.

    The first 512 words of each are looked at, case aside.
    """
    words, others = (text.lower().split()[:_MOST_WORDS] for text in (one, other))
    total = len(words) + len(others)
    return 2 * _longest_common(words, others) / total if total else 1.0


def _longest_common(words: list[str], others: list[str]) -> int:
    """Return the length of the longest common subsequence, one bit a word: Hyyrö's algorithm (AWOCA 2004)."""
    places: dict[str, int] = {}
    for at, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << at
    everything = (1 << len(words)) - 1
    free = everything
    for word in others:
        met = places.get(word, 0) & free
        free = ((free + met) | (free - met)) & everything
    return len(words) - free.bit_count()


def _most_likely(request: GuardRequest, most_tokens: int) -> GuardRequest:
    return request._replace(
        n=1,
        temperature=0,
        sampling={},
        logprobs=False,
        top_logprobs=0,
        stream=False,
        max_tokens=min(request.max_tokens or most_tokens, most_tokens),
    )


def _said(answer: Answer) -> str:
    return "\n".join([answer.text, *(f"{call.name} {call.arguments}" for call in answer.calls)])


def _total_variation(guarded: Answer, plain: Answer) -> float | None:
    if not guarded.logprobs or not plain.logprobs:
        return None
    one, other = (answer.logprobs[0].probabilities for answer in (guarded, plain) if answer.logprobs)
    return sum(abs(one[label] - other[label]) for label in one) / 2
