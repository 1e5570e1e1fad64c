"""What a new version must show before it is promoted: its answers to a canary file."""

from typing import Protocol

from guard_server.adapter import LoadedAdapter
from guard_server.engine.base import Engine
from guard_server.pipeline import GuardPipeline
from guard_server.probes.asking import PipelineAsker
from guard_server.probes.canary import CanarySet, load_canary
from guard_server.probes.runner import RunOptions, run_probe
from guard_server.settings import AdapterPolicy

_OPTIONS = RunOptions(concurrency=4)


class Gate(Protocol):
    """Judges a version that no client can reach yet."""

    async def faults(self, adapter: LoadedAdapter, policy: AdapterPolicy) -> list[str]:
        """Return a sentence for each limit that it breaks; none means that it may be served.

        Raises:
            GuardConfigError: The canary file can't be used.
            AttackError: The canary file names an unknown attack.
        """
        ...


class CanaryGate:
    """Asks the policy's canary file in this process, through the guard's own work on a request.

    Args:
        engine: Where the version is loaded.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def faults(self, adapter: LoadedAdapter, policy: AdapterPolicy) -> list[str]:
        """Return the broken limits; an adapter without a canary file has none to break."""
        if policy.canary is None:
            return []
        canaries = with_policy(load_canary(policy.canary), policy)
        # A pipeline of its own: nobody but this probe can reach the version through it.
        asker = PipelineAsker(GuardPipeline({adapter.name: adapter}, self._engine), adapter.name)
        result = await run_probe(canaries, asker, _OPTIONS)
        unanswered = [f"{result.cost.failed} questions were not answered"] if result.cost.failed else []
        return [*result.faults, *unanswered]


def with_policy(canaries: CanarySet, policy: AdapterPolicy) -> CanarySet:
    """Return the canary set with the policy's limits in place of those that it names."""
    wanted = {"asr_max": policy.asr_max, "clean_accuracy_min": policy.clean_accuracy_min}
    named = {name: value for name, value in wanted.items() if value is not None}
    return canaries.model_copy(update={"limits": canaries.limits.model_copy(update=named)})
