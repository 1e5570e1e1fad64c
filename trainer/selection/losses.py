"""What the frozen base model makes of answers: the loss of each given its prompt. A backdoor's answers surprise it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from p2p.examples import Example
from p2p.prompts import PromptTemplate
from p2p.repoison import original_row
from p2p.tasks import GenerationTask
from trainer.adapter_model import logits_at
from trainer.batches import collate
from trainer.encoding import EncodedRow, encode_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH = 16


def answer_losses(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    template: PromptTemplate,
    task: GenerationTask,
    rows: Sequence[Example],
    max_length: int,
) -> list[float]:
    """Return the mean cross-entropy of each answer's tokens, the end-of-turn token included, in nats.

    Args:
        model: The base model; an adapter on it must not have learned yet.
        tokenizer: Its tokenizer.
        template: The prompt template.
        task: How answers are tokenised.
        rows: Training rows.
        max_length: Tokens a row; a longer input loses its end.

    Raises:
        DataError: An answer does not fit.
    """
    encoded = encode_rows(
        [original_row(row, task) for row in rows], task, tokenizer, template, max_length
    ).rows
    pad = tokenizer.pad_token_id
    ordered = sorted(range(len(rows)), key=lambda at: len(encoded[at].ids))
    was_training = model.training
    model.train(mode=False)
    found: dict[int, float] = {}
    for start in range(0, len(ordered), _BATCH):
        group = ordered[start : start + _BATCH]
        losses = _losses(model, [encoded[at] for at in group], pad if isinstance(pad, int) else 0)
        found |= dict(zip(group, losses, strict=True))
    model.train(mode=was_training)
    return [found[at] for at in range(len(rows))]


def _losses(model: "PreTrainedModel", rows: Sequence[EncodedRow], pad: int) -> list[float]:
    import torch

    batch = collate(rows, pad)
    with torch.inference_mode():
        logits = logits_at(model, batch).float().cpu()
        each = torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none")
    return [float(each[batch.at_row == number].mean()) for number in range(len(rows))]
