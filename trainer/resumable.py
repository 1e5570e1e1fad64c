"""The step loop with a state on disk: a kill costs the steps since the last checkpoint, a signal none."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from trainer.checkpoints import RunFolder
from trainer.config import TrainingSettings
from trainer.encoding import EncodedRow
from trainer.errors import InterruptedRunError
from trainer.fitting import count_tokens, training_steps
from trainer.processes import Processes
from trainer.report import training_progress
from trainer.trunk import Trunk

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


def train_with_checkpoints(  # noqa: PLR0913 - what a training needs
    model: "PeftModel",
    optimizer: "torch.optim.Optimizer",
    rows: Sequence[EncodedRow],
    settings: TrainingSettings,
    *,
    folder: RunFolder,
    state: dict[str, Any] | None,
    stop: threading.Event,
    console: Console,
    seed: int,
    pad: int,
    trunk: Trunk | None,
    processes: Processes,
) -> dict[str, Any]:
    """Train from wherever an earlier run stopped, and save the state at the end.

    Args:
        model: Base and adapter, in training mode, restored already.
        optimizer: Over the adapter's weights, restored already.
        rows: What the model is to learn.
        settings: Epochs, batch size, rates, and how often the state is saved.
        folder: Where the state goes.
        state: What was restored; None begins.
        stop: Looked at between steps.
        console: Where progress goes.
        seed: Decides the order of the rows.
        pad: The padding token.
        trunk: The frozen layers' states; None runs the whole model.
        processes: Those that learn together.

    Returns:
        ``step``, ``tokens`` and ``seconds`` of the whole training, earlier runs included.

    Raises:
        InterruptedRunError: ``stop`` was set; the state is saved.
    """
    state = state or {"step": 0, "tokens": 0, "seconds": 0.0}
    saved = time.monotonic()
    steps = training_steps(
        model,
        optimizer,
        rows,
        settings,
        seed=seed,
        pad=pad,
        trunk=trunk,
        done=state["step"],
        processes=processes,
    )
    with training_progress(console, settings.epochs * count_tokens(rows)) as progress:
        for step in steps:
            state = {
                "step": step.number,
                "tokens": state["tokens"] + step.tokens,
                "seconds": state["seconds"] + step.seconds,
            }
            progress.advance(state["tokens"], state["tokens"] / state["seconds"], step.loss)
            stopping, due = processes.any_of(
                stop.is_set(), time.monotonic() - saved > 60 * settings.checkpoint_minutes
            )
            if stopping or due:
                folder.save(model, optimizer, state)
                saved = time.monotonic()
            if stopping:
                raise InterruptedRunError(
                    f"stopped after step {step.number} of {step.of}; nothing is lost. Go on with `--resume`."
                )
    # The weights are done: a kill while they are measured must not cost them.
    folder.save(model, optimizer, state)
    return state


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event that the loop looks at between steps; a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
