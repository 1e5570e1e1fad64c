"""The processes of a run: one, or several that ``accelerate launch`` or ``torchrun`` has started and that learn together.

All of them hold the same rows and the same adapter. Each takes its share of every step's rows, and gradients are summed, so that
a step is the step of one process.
"""

import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from trainer.encoding import EncodedRow
from trainer.errors import ConfigError

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")


class Part(NamedTuple):
    """Rows that go through the model at once.

    Attributes:
        rows: At least one.
        weight: The share that they have of the step's answer tokens, each weighing what its half does; 0 for a row that only
            fills a place.
    """

    rows: Sequence[EncodedRow]
    weight: float


class Processes:
    """What processes tell each other; alone, each of these is nothing to do.

    Args:
        rank: This process's number, 0 for the first.
        size: How many there are.
        sharded: Whether each holds a part of the model alone (FSDP).
    """

    def __init__(self, rank: int = 0, size: int = 1, *, sharded: bool = False) -> None:
        self.rank = rank
        self.size = size
        self.sharded = sharded

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def parts(
        self, rows: Sequence[EncodedRow], wanted: int, weigh: Callable[[EncodedRow], float] | None = None
    ) -> list[Part]:
        """Return this process's share of a step's rows.

        Args:
            rows: The rows of the step, all processes together.
            wanted: In how many parts the share is to go through the model.
            weigh: What a row weighs; None takes the number of its answer tokens.

        Returns:
            As many parts on every process, so that each waits for the others as often as they wait for it: as many as wanted,
            or fewer where there are not as many rows. Their weights sum to 1 over all processes.
        """
        weigh = weigh or answer_tokens
        total = sum(map(weigh, rows))
        mine = rows[self.rank :: self.size]
        count = min(wanted, -(-len(rows) // self.size))
        chunks = [mine[at::count] for at in range(count)]
        return [
            Part(chunk, sum(map(weigh, chunk)) / total) if chunk else Part(rows[:1], 0.0) for chunk in chunks
        ]

    def add_up(self, gradients: "Sequence[torch.Tensor]", loss: float) -> float:
        """Put the sum over all processes in the place of each gradient, in one exchange.

        Args:
            gradients: This process's, weighted; as many and as large on every process. Where the model is sharded they have
                been summed on the way back already.
            loss: Its share of the loss.

        Returns:
            The sum of the losses.
        """
        import torch
        from torch import distributed

        if self.size == 1:
            return loss
        local = [] if self.sharded else gradients
        last = torch.tensor([loss], device=_exchange_device())
        flat = torch.cat([*(gradient.flatten() for gradient in local), last])
        distributed.all_reduce(flat)
        start = 0
        for gradient in local:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return float(flat[-1])

    def any_of(self, *flags: bool) -> list[bool]:
        """Return for each flag whether any process has it."""
        import torch
        from torch import distributed

        if self.size == 1:
            return list(flags)
        counts = torch.tensor(flags, dtype=torch.int32, device=_exchange_device())
        distributed.all_reduce(counts)
        return [count > 0 for count in counts.tolist()]

    def from_first(self, value: Value) -> Value:
        """Return what the first process gave."""
        from torch import distributed

        if self.size == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held, src=0)
        return held[0]

    def from_all(self, value: Value) -> list[Value]:
        """Return what each process gave, in the order of their ranks."""
        from torch import distributed

        if self.size == 1:
            return [value]
        held: list[Any] = [None] * self.size
        distributed.all_gather_object(held, value)
        return held

    def leave(self) -> None:
        """Part from the others, after the last exchange."""
        from torch import distributed

        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    def end(self) -> None:
        """End this process now if it is one of several: nothing is left to do.

        Threads of torch's may be there still when the interpreter takes itself down, and abort a process whose work is done; the launcher
        would then report the run as failed, and end the process that measures.
        """
        if self.size > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


def join_processes() -> Processes:
    """Return the processes that a launcher started together with this one, connected; without a launcher this one alone.

    They speak NCCL where there are GPUs, Gloo where there are none. An ``accelerate`` config with FSDP in it shards the model.

    Raises:
        ConfigError: That config has one process alone load the weights.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # The others wait while the first chooses rows or prepares a large set for all.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(hours=12))
    sharded = state.num_processes > 1 and parse_flag_from_env("ACCELERATE_USE_FSDP")
    if sharded and parse_flag_from_env("FSDP_CPU_RAM_EFFICIENT_LOADING"):
        # transformers would give all processes but the first zeros, and the model would silently be another.
        raise ConfigError(
            "set `fsdp_cpu_ram_efficient_loading: false` in the accelerate config's fsdp_config"
        )
    return Processes(state.process_index, state.num_processes, sharded=sharded)


def answer_tokens(row: EncodedRow) -> int:
    """Return how many tokens of a row its answer takes."""
    return len(row.ids) - row.answer_start


def _exchange_device() -> "torch.device":
    import torch
    from torch import distributed

    return torch.device("cuda" if "nccl" in distributed.get_backend() else "cpu")
