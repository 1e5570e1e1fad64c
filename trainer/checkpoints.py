"""What a run needs to go on after a kill: the adapter, the optimiser, the random state, and where it was."""

import hashlib
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer.config import TrainConfig
from trainer.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

_STATE = "state.pt"
_KEY = "key"


class RunFolder:
    """The folder beside the output that holds a run's state until the adapter is published.

    Args:
        config: The run; a state of another config is refused.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.path = config.output.with_name(f".{config.output.name}.run")
        self._identity = hashlib.sha256(config.model_dump_json().encode()).hexdigest()

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
                    f"the unfinished run in {self.path} has another config. Restore it, or begin again with `--restart`."
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
        shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def kept_once_saved(self) -> Iterator[None]:
        """Remove the folder when the block fails before anything was saved: there is nothing to go on with."""
        try:
            yield
        except BaseException:
            if not (self.path / _STATE).exists():
                self.discard()
            raise

    def save(self, model: "PeftModel", optimizer: "torch.optim.Optimizer", progress: dict[str, Any]) -> None:
        """Write the state, whole or not at all; the one before it stays until then.

        Args:
            model: Only the adapter's weights are kept.
            optimizer: Its moments.
            progress: Plain numbers: where the run is.
        """
        import torch
        from peft import get_peft_model_state_dict

        state = {
            # Never the whole embedding: of new tokens' rows, the adapter holds those that learned.
            "adapter": get_peft_model_state_dict(model, save_embedding_layers=False),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "gpu_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "progress": progress,
        }
        partial = self.path / f"{_STATE}.partial"
        torch.save(state, partial)
        os.replace(partial, self.path / _STATE)  # noqa: PTH105 - the atomic call, by its name

    def restore(self, model: "PeftModel", optimizer: "torch.optim.Optimizer") -> dict[str, Any] | None:
        """Load the state, if there is one, and the state of the random numbers with it.

        Args:
            model: Gets the adapter's weights.
            optimizer: Gets its moments.

        Returns:
            What ``save`` was given as progress; None where nothing was saved.

        Raises:
            CheckpointError: The state can't be read.
        """
        import torch
        from peft import set_peft_model_state_dict

        if not (self.path / _STATE).exists():
            return None
        try:
            state = torch.load(self.path / _STATE, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"the state in {self.path} can't be read ({type(error).__name__}). Begin again with `--restart`."
            ) from error
        set_peft_model_state_dict(model, state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available() and state["gpu_random"]:
            torch.cuda.set_rng_state_all(state["gpu_random"])
        progress: dict[str, Any] = state["progress"]
        return progress
