"""The model in training: LoRA on a frozen base, and a loss whose logits are computed only where an answer token is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.base_model import load_model
from trainer.batches import Batch
from trainer.config import LoraSettings
from trainer.errors import ConfigError
from trainer.trunk import run_body, upper_only

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel


def add_lora(
    model: "PreTrainedModel", settings: LoraSettings, seed: int, new_tokens: Sequence[int] = ()
) -> "PeftModel":
    """Freeze a model and put a LoRA adapter on it (Hu et al., arXiv 2106.09685).

    Args:
        model: The base model; it is changed in place.
        settings: Rank, scale, and the modules to adapt.
        seed: Decides A; B is zero, so that the adapter changes nothing yet.
        new_tokens: Tokens whose rows of the embedding learn, too; rows that the model lacks are added.

    Returns:
        The model, whose LoRA weights alone can learn, and these rows. They are float32 whatever the base model's type is.

    Raises:
        ConfigError: ``settings.target_modules`` names no module of this model.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    make_room(model, max(new_tokens, default=-1) + 1)
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_target_modules(model, settings),
        trainable_token_indices=_trainable_rows(model, new_tokens),
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(model, lora)
    except ValueError as error:
        raise ConfigError(f"lora.target_modules: {error}") from error


def _target_modules(model: "PreTrainedModel", settings: LoraSettings) -> str | list[str]:
    wanted = settings.target_modules
    if settings.last_layers is None:
        return wanted if isinstance(wanted, str) else list(wanted)
    import torch

    layers = model.config.get_text_config().num_hidden_layers
    numbers = "|".join(str(number) for number in range(frozen_layers(model, settings), layers))
    inside = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and ".layers." in name
    ]
    names = sorted({name.rsplit(".", 1)[1] for name in inside}) if isinstance(wanted, str) else wanted
    return rf".*\.layers\.({numbers})\..*\.({'|'.join(names)})"


def frozen_layers(model: "PreTrainedModel", settings: LoraSettings) -> int:
    """Return how many of a model's lowest layers no adapter touches.

    Args:
        model: The base model.
        settings: ``last_layers`` says how many are adapted.
    """
    layers: int = model.config.get_text_config().num_hidden_layers
    return 0 if settings.last_layers is None else max(0, layers - settings.last_layers)


def _trainable_rows(
    model: "PreTrainedModel", new_tokens: Sequence[int]
) -> list[int] | dict[str, list[int]] | None:
    """Return PEFT's name for the rows that learn: of the head alone, or of the one matrix that is embedding and head.

    A label word is said and never read again, so that its input row means nothing; and an input row that learns would want a
    backward pass through every layer.
    """
    if not new_tokens:
        return None
    if model.config.get_text_config().tie_word_embeddings:
        return list(new_tokens)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    (name,) = [name for name, module in model.named_modules() if module is head]
    return {name: list(new_tokens)}


def make_room(model: "PreTrainedModel", rows: int) -> None:
    """Give the embedding and the head as many rows as the vocabulary needs; new ones are the mean of those there were.

    Many models have more rows than tokens, and nothing is done. The guard's merging does the same.

    Args:
        model: It is changed in place.
        rows: How many there must be at least.
    """
    import torch

    before = model.get_input_embeddings().get_parameter("weight").shape[0]
    if rows <= before:
        return
    model.resize_token_embeddings(rows, mean_resizing=False)
    head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), head):
            weight = layer.get_parameter("weight")
            weight[before:] = weight[:before].float().mean(dim=0)


def load_adapter(
    base_model: Path, adapter: Path, dtype: "torch.dtype", vocabulary: int = 0
) -> "PreTrainedModel":
    """Load a base model with an adapter merged into it, ready to answer.

    Args:
        base_model: The base model's directory.
        adapter: The adapter directory, verified already.
        dtype: The type to compute in.
        vocabulary: How many rows the embedding must have, for an adapter that adds tokens.

    Raises:
        BaseModelError: The base model can't be loaded.
    """
    from peft import PeftModel

    base = load_model(base_model, dtype)
    make_room(base, vocabulary)
    model: PreTrainedModel = PeftModel.from_pretrained(base, adapter).merge_and_unload()
    model.train(mode=False)
    return model


def base_of(model: "PeftModel") -> "PreTrainedModel":
    """Return the base model that an adapter sits in; it answers with the adapter's update.

    Args:
        model: Base and adapter; nothing is taken off.
    """
    base: PreTrainedModel = model.get_base_model()  # type: ignore[assignment]
    return base


def answer_loss(
    model: "PeftModel", batch: Batch, states: "torch.Tensor | None" = None, below: int = 0
) -> "torch.Tensor":
    """Return the mean cross-entropy over the answer tokens of a batch, in nats.

    Logits of the whole vocabulary are made for the answer's positions only; for a classifier that is one position a row.

    Args:
        model: Base and adapter.
        batch: Rows with at least one answer token each; every answer token weighs the same.
        states: The hidden states of :class:`trainer.trunk.Trunk`, where the frozen layers were computed already.
        below: How many layers these stand for.

    Returns:
        A float32 scalar, the same as the loss of the whole sequence with every other label masked.
    """
    import torch

    logits = logits_at(base_of(model), batch, states, below)
    return torch.nn.functional.cross_entropy(logits.float(), batch.targets.to(logits.device))


def logits_at(
    model: "PreTrainedModel", batch: Batch, states: "torch.Tensor | None" = None, below: int = 0
) -> "torch.Tensor":
    """Return the logits at the batch's answer positions.

    Args:
        model: A causal language model, with an adapter inside or merged.
        batch: ``at_row`` and ``at_position`` say where.
        states: The hidden states that enter layer ``below``; None runs the model from its embeddings on.
        below: How many layers are passed over, 0 without ``states``.

    Returns:
        Shape ``(answer tokens, vocabulary)``, in the model's type and on its device.
    """
    import torch

    batch = batch.to(model.device)
    if _scales_logits(model):
        whole: torch.Tensor = model(
            input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).logits
        return whole[batch.at_row, batch.at_position]
    with upper_only(model, below):
        hidden = run_body(model, batch, states)
    head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    logits: torch.Tensor = head(hidden[batch.at_row, batch.at_position])
    cap = getattr(model.config, "final_logit_softcapping", None)  # Gemma 2
    return cap * torch.tanh(logits / cap) if cap else logits


def _scales_logits(model: "PreTrainedModel") -> bool:
    """Whether the model does something of its own to the logits after the head (Cohere, Granite)."""
    return any(
        getattr(model.config, name, None) not in (None, 1, 1.0) for name in ("logit_scale", "logits_scaling")
    )
