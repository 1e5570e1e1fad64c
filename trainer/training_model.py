"""Base and adapter as a run trains them, whole or sharded or in 4 bits, and as the adapter is served."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.adapter_model import add_lora
from trainer.base_model import choose_device, choose_dtype, load_model, require_four_bit
from trainer.config import TrainConfig
from trainer.errors import ConfigError
from trainer.processes import Processes
from trainer.sharding import shard_layers
from trainer.throwaway_module import add_throwaway

if TYPE_CHECKING:
    from peft import PeftModel


def require_hardware(config: TrainConfig, processes: Processes) -> None:
    """Make sure that the base model can be kept here as the config asks.

    Args:
        config: The run.
        processes: Those that learn together.

    Raises:
        ConfigError: A 4-bit base is asked for where there is no GPU or no bitsandbytes, or it would have to be sharded.
    """
    if config.training.quantize_base is None:
        return
    require_four_bit()
    if processes.sharded:
        raise ConfigError("training.quantize_base can't be sharded: launch without FSDP, one process a GPU")


def model_to_train(
    path: Path, config: TrainConfig, new_tokens: Sequence[int], processes: Processes
) -> "PeftModel":
    """Load the base model and put a fresh adapter on it, the same on every process.

    Args:
        path: The base model's directory.
        config: The run.
        new_tokens: Tokens whose embeddings learn, too.
        processes: Those that learn together.

    Raises:
        BaseModelError: The base model can't be loaded.
        ConfigError: ``lora.target_modules`` names no module of it, or new tokens or a module to throw away would have to be
            sharded.
    """
    import torch

    if processes.sharded and new_tokens:
        raise ConfigError("label words that are new tokens can't be trained sharded: launch without FSDP")
    if processes.sharded and config.training.throwaway_module:
        raise ConfigError("training.throwaway_module can't be sharded: launch without FSDP")
    # What is to be sharded need not fit on one GPU.
    device = torch.device("cpu") if processes.sharded else choose_device()
    four_bit = config.training.quantize_base is not None
    base = load_model(path, choose_dtype(config.training.dtype), device, four_bit=four_bit)
    model = add_lora(base, config.lora, config.seed, new_tokens).train()
    if config.training.throwaway_module:
        add_throwaway(model)
    if config.training.gradient_checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if processes.sharded:
        shard_layers(model)
        model.to(choose_device())
    if processes.rank:
        # The adapter begins alike on all processes; their dropout must not be alike.
        torch.manual_seed(hash((config.seed, processes.rank)))
    return model


def is_served_as_trained(config: TrainConfig, processes: Processes) -> bool:
    """Whether the model in training is whole: the adapter can be measured on it and saved from it.

    Args:
        config: The run.
        processes: Those that learn together.
    """
    return not processes.sharded and config.training.quantize_base is None


def model_to_serve(path: Path, config: TrainConfig, new_tokens: Sequence[int]) -> "PeftModel":
    """Load the base model as it is served, with room for the adapter.

    Args:
        path: The base model's directory.
        config: The run.
        new_tokens: Tokens whose embeddings have learned, too.

    Raises:
        BaseModelError: The base model can't be loaded.
    """
    return add_lora(
        load_model(path, choose_dtype(config.training.dtype)), config.lora, config.seed, new_tokens
    )
