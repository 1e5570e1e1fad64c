"""Training throughput: this trainer against a plain loop, on the same rows, model and machine, in one run.

The plain loop takes batches at random, pads them to the longest row of the set, and computes the logits of the whole
vocabulary at every position. Both train the same LoRA adapter; only real tokens count. They take turns, so that a machine
that slows down slows both. ``frozen`` is a third way: the adapter sits on the last layers alone, and what lies below is computed once
for all epochs. Its rate counts each row once an epoch, the time for the frozen layers included.

``share_of_peak`` sets the multiplications that the model needs (2 for each weight and token forward, 2 more backward for layers with
adapters; attention, norms and the head's one row are left out) against the best that a plain matrix product reaches on this machine.

    .venv/bin/python benchmarks/train_throughput.py
    .venv/bin/python benchmarks/train_throughput.py --dtype bfloat16
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
from trainer.adapter_model import add_lora, answer_loss, base_of, frozen_layers
from trainer.base_model import choose_dtype, load_model, load_tokenizer
from trainer.batches import collate, plan_batches
from trainer.config import LoraSettings
from trainer.encoding import EncodedRow, encode_rows
from trainer.trunk import make_trunk

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

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
    parser.add_argument("--modules", default="all-linear", help="all-linear, or names such as q_proj,v_proj")
    parser.add_argument("--frozen-last", type=int, default=6, help="layers with adapters in `frozen`")
    parser.add_argument("--frozen-epochs", type=int, default=3)
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()

    rows = _rows(asked.model, asked.data)
    modules = asked.modules if asked.modules == "all-linear" else tuple(asked.modules.split(","))
    dtype = choose_dtype(asked.dtype)
    model = add_lora(load_model(asked.model, dtype), LoraSettings(target_modules=modules), seed=0).train()
    ours = plan_batches(rows, asked.batch_size, seed=0, epoch=0)
    plain = _random_batches(rows, asked.batch_size)
    longest = max(len(row.ids) for row in rows)
    last = LoraSettings(target_modules=modules, last_layers=asked.frozen_last)
    upper = add_lora(load_model(asked.model, dtype), last, seed=0).train()
    rates: dict[str, list[float]] = {"ours": [], "plain": [], "frozen": []}
    _round(model, ours[:1], lambda batch: _our_loss(model, batch))
    for number in range(asked.rounds):
        chosen = slice(number * asked.steps, (number + 1) * asked.steps)
        rates["ours"].append(_round(model, ours[chosen], lambda batch: _our_loss(model, batch)))
        rates["plain"].append(_round(model, plain[chosen], lambda batch: _plain_loss(model, batch, longest)))
        rates["frozen"].append(_frozen_round(upper, last, ours[chosen], asked.frozen_epochs))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    peak = _matmul_peak(dtype)
    needed = _needed(base_of(model), last, asked.frozen_epochs)
    result = {
        "tokens_per_second": medians,
        "ratio": {name: _ratios(rates[name], rates["plain"]) for name in ("ours", "frozen")},
        "matmul_peak_gflops": peak / 1e9,
        "share_of_peak": {name: medians[name] * needed[name] / peak for name in ("ours", "frozen")},
        "threads": torch.get_num_threads(),
        "dtype": str(dtype),
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


def _frozen_round(
    model: "PeftModel", lora: LoraSettings, batches: list[list[EncodedRow]], epochs: int
) -> float:
    """Train on these batches for some epochs, the frozen layers computed once; return row tokens a second."""
    started = time.perf_counter()
    trunk = make_trunk(base_of(model), frozen_layers(base_of(model), lora), batches[0][0])
    if trunk is None:
        raise SystemExit("this model can't be run in two parts")
    rows = [row for batch in batches for row in batch]
    for _ in trunk.fill(rows):
        pass

    def loss_of(batch: list[EncodedRow]) -> torch.Tensor:
        return answer_loss(model, collate(batch, pad=0), trunk.states(batch), trunk.below)

    for _ in range(epochs):
        _round(model, batches, loss_of)
    return epochs * sum(len(row.ids) for row in rows) / (time.perf_counter() - started)


def _matmul_peak(dtype: torch.dtype) -> float:
    """Return the most floating point operations a second that square matrix products reach here."""
    size = 2048
    one, other = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    torch.mm(one, other)
    times = []
    for _ in range(8):
        started = time.perf_counter()
        torch.mm(one, other)
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def _needed(model: "PreTrainedModel", last: LoraSettings, epochs: int) -> dict[str, float]:
    """Return the floating point operations that a token of an epoch needs, each way."""
    layers = model.config.get_text_config().num_hidden_layers
    frozen = [
        m
        for name, m in model.named_modules()
        if ".layers.0." in name and isinstance(m, torch.nn.Linear) and "lora_" not in name
    ]
    weights = sum(m.weight.numel() for m in frozen)
    below = frozen_layers(model, last)
    return {
        "ours": 4.0 * weights * layers,
        "frozen": 2.0 * weights * below / epochs + 4.0 * weights * (layers - below),
    }


def _ratios(mine: list[float], other: list[float]) -> dict[str, object]:
    each = [one / two for one, two in zip(mine, other, strict=True)]
    return {"median": statistics.median(each), "by_round": each}


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
