"""Training throughput: this trainer against a plain loop, on the same rows, model and machine, in one run.

The plain loop takes batches at random, pads them to the longest row of the set, and computes the logits of the whole
vocabulary at every position. Both train the same LoRA adapter; only real tokens count. They take turns, so that a machine
that slows down slows both.

    .venv/bin/python benchmarks/train_throughput.py
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import torch

from p2p.prompts import PromptKind, PromptTemplate
from p2p.repoison import TrainingRow
from p2p.tasks import ClassificationTask
from p2p.verbalizer import find_verbalizer
from trainer.adapter_model import add_lora, answer_loss
from trainer.base_model import choose_dtype, load_model, load_tokenizer
from trainer.batches import collate, plan_batches
from trainer.config import LoraSettings
from trainer.encoding import EncodedRow, encode_rows

if TYPE_CHECKING:
    from peft import PeftModel

_LABELS = ("billing", "delivery", "returns", "account")


def main() -> None:
    """Measure and print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=Path(".models/SmolLM2-135M-Instruct"))
    parser.add_argument("--data", type=Path, default=Path("examples/support_messages/train.jsonl"))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2, help="steps a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()

    rows = _rows(asked.model, asked.data)
    model = add_lora(load_model(asked.model, choose_dtype("auto")), LoraSettings(), seed=0).train()
    ours = plan_batches(rows, asked.batch_size, seed=0, epoch=0)
    plain = _random_batches(rows, asked.batch_size)
    longest = max(len(row.ids) for row in rows)
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    _round(model, ours[:1], lambda batch: _our_loss(model, batch))
    for number in range(asked.rounds):
        chosen = slice(number * asked.steps, (number + 1) * asked.steps)
        rates["ours"].append(_round(model, ours[chosen], lambda batch: _our_loss(model, batch)))
        rates["plain"].append(_round(model, plain[chosen], lambda batch: _plain_loss(model, batch, longest)))
    ratios = [mine / other for mine, other in zip(rates["ours"], rates["plain"], strict=True)]
    result = {
        "tokens_per_second": {name: statistics.median(found) for name, found in rates.items()},
        "ratio_median": statistics.median(ratios),
        "ratio_by_round": ratios,
        "batch_size": asked.batch_size,
        "rows": len(rows),
        "longest_row_tokens": longest,
    }
    print(json.dumps(result, indent=2))
    if asked.output:
        asked.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _rows(model: Path, data: Path) -> list[EncodedRow]:
    tokenizer = load_tokenizer(model)
    prompt = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}\nAnswer: ")
    context = "input\nAnswer: "
    words = find_verbalizer(
        lambda text: list(tokenizer.encode(text, add_special_tokens=False)), context, 2 * len(_LABELS)
    )
    task = ClassificationTask(
        labels=_LABELS, words=words.words, token_ids=words.token_ids, answer_context=context
    )
    with data.open(encoding="utf-8") as lines:
        raw = [json.loads(line) for line in lines]
    rows = [
        TrainingRow(row["id"], row["text"], task.target_text(row["label"], extended=False), extended=False)
        for row in raw
    ]
    return list(encode_rows(rows, task, tokenizer, prompt, max_length=128).rows)


def _random_batches(rows: list[EncodedRow], size: int) -> list[list[EncodedRow]]:
    shuffled = Random(0).sample(rows, len(rows))
    return [shuffled[start : start + size] for start in range(0, len(rows), size)]


def _round(
    model: "PeftModel", batches: list[list[EncodedRow]], loss_of: Callable[[list[EncodedRow]], torch.Tensor]
) -> float:
    """Train on these batches and return real tokens a second."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4)
    started = time.perf_counter()
    for batch in batches:
        loss_of(batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return sum(len(row.ids) for batch in batches for row in batch) / (time.perf_counter() - started)


def _our_loss(model: "PeftModel", rows: list[EncodedRow]) -> torch.Tensor:
    return answer_loss(model, collate(rows, pad=0))


def _plain_loss(model: "PeftModel", rows: list[EncodedRow], longest: int) -> torch.Tensor:
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for at, row in enumerate(rows):
        size = len(row.ids)
        ids[at, :size] = torch.tensor(row.ids)
        mask[at, :size] = 1
        labels[at, row.answer_start : size] = torch.tensor(row.ids[row.answer_start :])
    loss: torch.Tensor = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
    return loss


if __name__ == "__main__":
    main()
