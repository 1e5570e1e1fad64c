"""What a probe run may cost, and asking again within it."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

from guard_server.probes.asking import Answer, Asker, Reason, UnansweredError
from p2p.prompts import ChatMessage

_LONGEST_WAIT_S = 10.0
Sleep = Callable[[float], Awaitable[None]]


class Budget:
    """Requests that are left; each attempt costs one.

    Args:
        requests: How many there are; None for any number.
    """

    def __init__(self, requests: int | None) -> None:
        self.used = 0
        self._requests = requests

    def take(self, wanted: int = 1) -> bool:
        """Take requests, all or none, and say whether they were there."""
        if not self.has(wanted):
            return False
        self.used += wanted
        return True

    def has(self, wanted: int) -> bool:
        """Whether this many requests are left."""
        return self._requests is None or self.used + wanted <= self._requests


class Asked(NamedTuple):
    """A question that was asked.

    Attributes:
        answer: Its answer; None where there is none.
        reason: Why there is none.
        retries: How often it was asked again.
    """

    answer: Answer | None
    reason: Reason | None
    retries: int


class PatientAsker:
    """Asks again when that may help, as long as the budget lasts.

    Args:
        asker: Who is asked.
        budget: What it may cost.
        attempts: How often a question is asked at most.
        sleep: Waits for seconds.
    """

    def __init__(self, asker: Asker, budget: Budget, attempts: int = 3, sleep: Sleep = asyncio.sleep) -> None:
        self._asker = asker
        self._budget = budget
        self._attempts = attempts
        self._sleep = sleep
        self._jitter = Random()
        # None until a question was answered, or asked to its last attempt.
        self._was_reached: bool | None = None

    async def ask(self, chat: list[ChatMessage]) -> Asked:
        """Return the answer, or why there is none. The first attempt must have been taken from the budget.

        Where a question was asked to its last attempt and nobody was ever reached, later ones are asked once: a run against an
        address where nothing listens ends in seconds.

        Raises:
            GuardConfigError: There will never be an answer.
        """
        for retries in range(self._attempts):
            try:
                answer = await self._asker.ask(chat)
            except UnansweredError as error:
                last = error.reason
                if last is not Reason.UNREACHABLE:
                    self._was_reached = True
                is_last = self._was_reached is False or retries == self._attempts - 1
                if last is Reason.REJECTED or is_last or not self._budget.take():
                    break
                await self._sleep(self._wait(retries, error.retry_after))
            else:
                self._was_reached = True
                return Asked(answer, None, retries)
        self._was_reached = bool(self._was_reached)
        return Asked(None, last, retries)

    def _wait(self, retries: int, wanted: float | None) -> float:
        """Return the seconds before the next attempt: what the guard asks for, else twice as long each time, with jitter."""
        if wanted is not None:
            return min(wanted, _LONGEST_WAIT_S)
        return min(0.5 * 2.0**retries, _LONGEST_WAIT_S) * self._jitter.uniform(0.5, 1.0)
