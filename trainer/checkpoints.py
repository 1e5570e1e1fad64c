"""What a run needs to go on after a kill: the adapter, the optimiser, the random state, and where it was."""

import copy
import hashlib
import os
import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer.config import TrainConfig
from trainer.errors import CheckpointError
from trainer.processes import Processes
from trainer.sharding import gathered, spread_like
from trainer.throwaway_module import SHIPPED, THROWAWAY, has_throwaway

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

_STATE = "state.pt"
_KEY = "key"


class RunFolder:
    """The folder beside the output that holds a run's state until the adapter is published.

    Attributes:
        path: Where it is.
        state_name: The file of the state in it.

    Args:
        config: The run; a state of another config is refused.
        processes: Those that learn together; None is this one alone. The first alone writes and reads, for all.
        start: The digest of the adapter that the run goes on from; a state that began with another is refused.
    """

    def __init__(self, config: TrainConfig, processes: Processes | None = None, start: str = "") -> None:
        self._processes = processes or Processes()
        self.path = config.output.with_name(f".{config.output.name}.run")
        self.state_name = _STATE
        self._identity = hashlib.sha256((config.model_dump_json() + start).encode()).hexdigest()

    def open(self, key: bytes, *, resume: bool) -> bytes:
        """Make the folder, or take up the one that is there.

        Args:
            key: The key of the run's secrets, kept readable by the owner alone.
            resume: Whether to go on with an earlier run; without one, a new run begins.

        Returns:
            The key of the run: the earlier one when it is taken up.

        Raises:
            CheckpointError: An earlier run is there and ``resume`` is false, or it had another config or is not whole.
        """
        return self._processes.from_first(self._open(key, resume=resume) if self._processes.is_first else key)

    def _open(self, key: bytes, *, resume: bool) -> bytes:
        if self.path.exists():
            if not resume:
                raise CheckpointError(
                    f"an unfinished run is in {self.path}. Go on with `--resume`, or begin again with `--restart`."
                )
            if not ((self.path / "config").is_file() and (self.path / _KEY).is_file()):
                raise CheckpointError(
                    f"the unfinished run in {self.path} is not whole. Begin again with `--restart`."
                )
            if (self.path / "config").read_text(encoding="utf-8") != self._identity:
                raise CheckpointError(
                    f"the unfinished run in {self.path} has another config, or began with another adapter. Restore it, or begin "
                    "again with `--restart`."
                )
            return (self.path / _KEY).read_bytes()
        fresh = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        (fresh / "config").write_text(self._identity, encoding="utf-8")
        (fresh / _KEY).touch(mode=0o600)
        (fresh / _KEY).write_bytes(key)
        fresh.rename(self.path)
        return key

    def discard(self) -> None:
        """Remove the folder and what is in it."""
        if self._processes.is_first:
            shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def kept_once_saved(self) -> Iterator[None]:
        """Remove the folder when the block fails before anything was saved: there is nothing to go on with."""
        try:
            yield
        except BaseException:
            if not any(self.path.glob("*.pt")) and not any(self.path.glob("views-*.json")):
                self.discard()
            raise

    def stage(self, name: str) -> "RunFolder":
        """Return the same folder with a state of its own, for a training before the final one.

        Args:
            name: What the state's file is called.
        """
        own = copy.copy(self)
        own.state_name = f"{name}.pt"
        return own

    def forget(self) -> None:
        """Remove the state of a training whose result is kept elsewhere."""
        (self.path / self.state_name).unlink(missing_ok=True)

    def save(self, model: "PeftModel", optimizer: "torch.optim.Optimizer", progress: dict[str, Any]) -> None:
        """Write the state, whole or not at all; the one before it stays until then. Every process has to ask for it.

        Args:
            model: Only the adapter's weights are kept.
            optimizer: Its moments.
            progress: Plain numbers: where the run is.
        """
        import torch
        from peft import get_peft_model_state_dict

        state = {
            # Never the whole embedding: of new tokens' rows, the adapter holds those that learned.
            "adapter": gathered(get_peft_model_state_dict(model, save_embedding_layers=False)),
            "throwaway": get_peft_model_state_dict(model, adapter_name=THROWAWAY, save_embedding_layers=False)
            if has_throwaway(model)
            else {},
            "optimizer": gathered(optimizer.state_dict()),
            "random": self._processes.from_all(_random_state()),
            "progress": progress,
        }
        if not self._processes.is_first:
            return
        partial = self.path / f"{self.state_name}.partial"
        torch.save(state, partial)
        os.replace(partial, self.path / self.state_name)  # noqa: PTH105 - the atomic call, by its name

    def restore(self, model: "PeftModel", optimizer: "torch.optim.Optimizer") -> dict[str, Any] | None:
        """Load the state, if there is one, and the state of the random numbers with it. Every process has to ask for it.

        Args:
            model: Gets the adapter's weights.
            optimizer: Gets its moments.

        Returns:
            What ``save`` was given as progress; None where nothing was saved.

        Raises:
            CheckpointError: The state can't be read.
        """
        state = self._processes.from_first(self._read() if self._processes.is_first else None)
        if state is None:
            return None
        put_adapter(model, state["adapter"])
        if has_throwaway(model):
            put_adapter(model, state["throwaway"], THROWAWAY)
        optimizer.load_state_dict(_spread_moments(state["optimizer"], optimizer))
        # Another number of processes than before draws its dropout anew.
        if len(state["random"]) == self._processes.size:
            _set_random_state(state["random"][self._processes.rank])
        progress: dict[str, Any] = state["progress"]
        return progress

    def adapter_into(self, model: "PeftModel") -> None:
        """Load the adapter that was saved last.

        Args:
            model: Gets its weights; not sharded.

        Raises:
            CheckpointError: There is no state, or it can't be read.
        """
        state = self._read()
        if state is None:
            raise CheckpointError(f"there is no state in {self.path}. Begin again with `--restart`.")
        put_adapter(model, state["adapter"])

    def _read(self) -> dict[str, Any] | None:
        import torch

        if not (self.path / self.state_name).exists():
            return None
        try:
            state: dict[str, Any] = torch.load(
                self.path / self.state_name, map_location="cpu", weights_only=True
            )
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"the state in {self.path} can't be read ({type(error).__name__}). Begin again with `--restart`."
            ) from error
        return state


def put_adapter(model: "PeftModel", weights: "Mapping[str, torch.Tensor]", module: str = SHIPPED) -> None:
    """Give a model's adapter weights; each process of a sharded one gets its part.

    Args:
        model: Base and adapter.
        weights: By PEFT's names, whole.
        module: Which of the model's adapters.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    held = get_peft_model_state_dict(model, adapter_name=module, save_embedding_layers=False)
    spread = {name: spread_like(value, held[name]) for name, value in weights.items()}
    set_peft_model_state_dict(model, spread, adapter_name=module)


def _spread_moments(state: dict[str, Any], optimizer: "torch.optim.Optimizer") -> dict[str, Any]:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments = {
        number: {name: spread_like(value, weights[number]) for name, value in held.items()}
        for number, held in state["state"].items()
    }
    return {**state, "state": moments}


def _random_state() -> "list[torch.Tensor]":
    """Return the state of the processor's random numbers, then that of each GPU's."""
    import torch

    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def _set_random_state(state: "list[torch.Tensor]") -> None:
    import torch

    torch.set_rng_state(state[0])
    if torch.cuda.is_available() and len(state) > 1:
        torch.cuda.set_rng_state_all(state[1:])
