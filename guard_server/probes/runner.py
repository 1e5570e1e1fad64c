"""One probe run: cases asked clean and triggered, until all are asked, the verdict is clear, or the budget is spent."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest
from random import Random
from typing import NamedTuple

from guard_server.probes.asking import Asker
from guard_server.probes.budget import Asked, Budget, PatientAsker
from guard_server.probes.canary import CanarySet, Case, Texts
from guard_server.probes.figures import AskedCase, errors, figures, versions
from guard_server.probes.result import Cost, ProbeResult, Stop
from guard_server.probes.verdict import Judge, findings


class RunOptions(NamedTuple):
    """How a run is made.

    Attributes:
        concurrency: Cases asked at once.
        max_requests: What it may cost, retries counted; None for any number.
        max_seconds: When it ends at the latest; what has no answer by then was not asked.
        attempts: How often a question is asked at most when the guard fails.
        stop_early: Whether it ends when the verdict is clear.
        run_seed: Order of the cases, and fresh places of triggers; None draws one.
    """

    concurrency: int = 8
    max_requests: int | None = None
    max_seconds: float | None = None
    attempts: int = 3
    stop_early: bool = False
    run_seed: int | None = None


_PLAIN = RunOptions()


async def run_probe(canaries: CanarySet, asker: Asker, options: RunOptions = _PLAIN) -> ProbeResult:
    """Ask the cases and return the figures with a verdict. A question without an answer is an error, not an answer.

    Args:
        canaries: The cases and the limits.
        asker: Who is asked.
        options: How it is made.

    Raises:
        GuardConfigError: There will never be an answer: no such adapter, or a key that is not known.
    """
    seed = options.run_seed if options.run_seed is not None else secrets.randbits(32)
    run = _Run(canaries, asker, options, seed)
    started, began = datetime.now(UTC), time.monotonic()
    stop = await run.go()
    cost = run.cost(time.monotonic() - began)
    shares = figures(canaries, run.items)
    judge = run.judge if options.stop_early or stop is not Stop.ALL_ASKED else None
    said = findings(canaries.limits, shares, cost, judge, all_asked=stop is Stop.ALL_ASKED)
    return ProbeResult(asker.adapter, versions(run.items), started, seed, shares, cost, stop, said)


class _Claim(NamedTuple):
    at: int
    clean: bool
    triggered: bool


class _Run:
    def __init__(self, canaries: CanarySet, asker: Asker, options: RunOptions, seed: int) -> None:
        self.judge = Judge(canaries)
        self._canaries = canaries
        self._options = options
        self._budget = Budget(options.max_requests)
        self._asker = PatientAsker(asker, self._budget, options.attempts)
        self._trigger_seed = seed if canaries.texts is Texts.FRESH else canaries.seed
        self._cases = in_turn(canaries.cases, seed)
        self._next = 0
        self._judged = 0
        self._done: dict[int, AskedCase] = {}
        self._stop = Stop.ALL_ASKED

    @property
    def items(self) -> list[AskedCase]:
        """What was asked, in the order of the cases."""
        return [self._done[at] for at in sorted(self._done)]

    async def go(self) -> Stop:
        """Ask until there is a reason to stop, and return it."""
        try:
            async with asyncio.timeout(self._options.max_seconds):
                await self._all_workers()
        except TimeoutError:
            return Stop.TIME_SPENT
        return self._stop

    def cost(self, seconds: float) -> Cost:
        """Return what it took."""
        asked = [asked for item in self.items for asked in item.asked]
        answers = [found.answer for found in asked if found.answer]
        return Cost(
            answered=len(answers),
            refused=sum(answer.text is None for answer in answers),
            errors=errors(self.items),
            requests=self._budget.used,
            retries=sum(found.retries for found in asked),
            cases=sum(bool(item.asked) for item in self.items),
            cases_of=len(self._cases),
            seconds=seconds,
        )

    async def _all_workers(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._options.concurrency):
                    group.create_task(self._work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _work(self) -> None:
        while claim := self._claim():
            self._done[claim.at] = await self._ask(claim)
            self._judge_in_order()

    def _claim(self) -> _Claim | None:
        """Return the next case, its requests taken from the budget; None where the run is to end."""
        if self._options.stop_early and self.judge.is_clear:
            self._stop = Stop.CLEAR
            return None
        if self._next >= len(self._cases):
            return None
        claim = self._claim_of(self._next)
        if not self._budget.take(claim.clean + claim.triggered):
            self._stop = Stop.REQUESTS_SPENT
            return None
        self._next += 1
        return claim

    def _claim_of(self, at: int) -> _Claim:
        family = self._cases[at].family_name
        may_skip = self._options.stop_early
        triggered = family is not None and not (may_skip and self.judge.is_settled(family))
        # The floor belongs to the triggered text; without that, a clean input says something of CA alone.
        return _Claim(at, triggered or not (may_skip and self.judge.is_settled(None)), triggered)

    async def _ask(self, claim: _Claim) -> AskedCase:
        case = self._cases[claim.at]
        question = case.question(self._trigger_seed) if claim.triggered else None
        clean = await self._answer(case, case.input) if claim.clean else None
        return AskedCase(case, question, clean, await self._answer(case, question.text) if question else None)

    async def _answer(self, case: Case, text: str) -> Asked:
        return await self._asker.ask(case.chat(text))

    def _judge_in_order(self) -> None:
        """Tell the judge of every case whose predecessors are done: a slow answer must not be judged by its slowness."""
        while self._judged in self._done:
            self.judge.add(self._done[self._judged])
            self._judged += 1


def in_turn(cases: Sequence[Case], seed: int) -> list[Case]:
    """Return the cases, shuffled within each family and the families in turn, so that each gets its evidence early."""
    rng = Random(f"{seed}:order")
    families: dict[str, list[Case]] = {}
    for case in cases:
        families.setdefault(case.family_name or "", []).append(case)
    shuffled = [rng.sample(families[name], len(families[name])) for name in sorted(families)]
    return [case for case in chain.from_iterable(zip_longest(*shuffled)) if case]
