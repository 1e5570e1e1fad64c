r"""How well two views of an input find a malicious trigger: precision, recall, AUROC, and what asking twice costs.

Each held-out row is asked with and without the benign trigger, as it is and with the attacker's trigger. A row is found when the
two answers differ; the AUROC is that of their distance (the total variation between the labels' probabilities). In process:

    .venv/bin/python -m benchmarks.view_disagreement $SST2/test.json --text sentence --name 0=negative --name 1=positive \
      --adapter runs/sst2 --base-model .models/SmolLM2-135M-Instruct --attack badnets --param word=mn --target positive

Through a guard, with its key in P2P_GUARD_API_KEYS, where the cost is that of its routes:

    .venv/bin/python -m benchmarks.view_disagreement ... --url http://127.0.0.1:8000 --model sst2

For the sentence trigger: --attack addsent --target positive, with an adapter that was trained on rows with it; an adapter can be
trained on rows with both (`p2p-guard attack apply` twice). --write NAME keeps the figures.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from benchmarks.documents import RESULTS, write_figures, write_section
from p2p.attacks.base import Attack
from p2p.attacks.registry import make_attack
from p2p.examples import Example
from p2p.metrics.rate import Rate
from trainer.answering import GUARDED, UNGUARDED
from trainer.config import DataSource
from trainer.datasets import read_examples

_DOCUMENT = Path("docs/audit.md")


class Compared(NamedTuple):
    """Whether the two views of a row disagree, and how far they are apart."""

    disagrees: bool
    distance: float


class Cost(NamedTuple):
    """Seconds for each row, one row at a time: the answer alone, and both views."""

    one_view: float
    both_views: float


class Asker(NamedTuple):
    """A way of asking: texts to comparisons, and texts to what that costs."""

    compare: Callable[[Sequence[str]], list[Compared]]
    cost: Callable[[Sequence[str]], Cost]


def main() -> None:
    """Ask every row in both views and print the figures as JSON."""
    asked = _arguments()
    source = DataSource.model_validate(
        {"path": asked.test, "text": asked.text, "answer": asked.label, "names": _pairs(asked.name)}
    )
    rows = read_examples(source)[: asked.rows]
    attack = make_attack(asked.attack, _pairs(asked.param) | {"target": asked.target})
    asker = (
        _through_guard(asked.url, asked.model) if asked.url else _in_process(asked.adapter, asked.base_model)
    )
    figures = measure(asker, rows, attack, asked.seed, asked.timed)
    found = {"attack": attack.describe(), "seed": asked.seed, "rows": len(rows), **figures}
    print(json.dumps(found, indent=1))
    if asked.write:
        write_figures(f"views-{asked.write}", found)
        write_section(_DOCUMENT, "views", table(sorted(RESULTS.glob("views-*.json"))))


def table(paths: Sequence[Path]) -> str:
    """Return the figures of several measurements in Markdown."""
    head = (
        "| triggers | precision | recall | false positives | AUROC | seconds for one view, for both | measured |\n"
        "|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(_line, paths)])


def _line(path: Path) -> str:
    found = json.loads(path.read_text(encoding="utf-8"))
    rates = (found[name] for name in ("precision", "recall", "false_positive_rate"))
    shown = " | ".join(f"{rate['k']}/{rate['n']} ({rate['k'] / max(1, rate['n']):.3f})" for rate in rates)
    seconds = f"{found['seconds_one_view']:.3f}, {found['seconds_both_views']:.3f}"
    name = path.stem.removeprefix("views-")
    return f"| {name} | {shown} | {found['auroc']:.3f} | {seconds} | {found['measured']} |"


def measure(
    asker: Asker, rows: Sequence[Example], attack: Attack, seed: int, timed: int
) -> dict[str, object]:
    """Return the figures of an attack.

    Args:
        asker: How rows are asked.
        rows: Held-out rows. All are asked as they are; with the trigger, those whose true answer is not the target.
        attack: The known attack.
        seed: Decides where triggers go.
        timed: On how many rows the cost is measured.
    """
    from sklearn.metrics import roc_auc_score

    triggered = [attack.trigger(row, seed).text for row in rows if attack.applies_to(row)]
    clean = asker.compare([row.text for row in rows])
    attacked = asker.compare(triggered)
    found = sum(each.disagrees for each in attacked)
    false = sum(each.disagrees for each in clean)
    truth = [0] * len(clean) + [1] * len(attacked)
    cost = asker.cost([row.text for row in rows[:timed]])
    return {
        "precision": Rate(k=found, n=found + false).as_json(),
        "recall": Rate(k=found, n=len(attacked)).as_json(),
        "false_positive_rate": Rate(k=false, n=len(clean)).as_json(),
        "auroc": float(roc_auc_score(truth, [each.distance for each in [*clean, *attacked]])),
        "seconds_one_view": cost.one_view,
        "seconds_both_views": cost.both_views,
        # What a second view means for the engine: one more prompt and one more token for a label.
        "engine_requests_per_audited_request": 2,
    }


def _in_process(adapter: Path, base_model: str) -> Asker:
    from trainer.loading import load_answerer

    answerer = load_answerer(adapter, base_model)

    def compare(texts: Sequence[str]) -> list[Compared]:
        views = [answerer.label_probabilities(texts, view) for view in (GUARDED, UNGUARDED)]
        return [
            Compared(
                guarded.index(max(guarded)) != plain.index(max(plain)),
                sum(abs(one - other) for one, other in zip(guarded, plain, strict=True)) / 2,
            )
            for guarded, plain in zip(*views, strict=True)
        ]

    def cost(texts: Sequence[str]) -> Cost:
        one = _seconds(texts, lambda text: answerer.label_probabilities([text], GUARDED))
        both = _seconds(texts, lambda text: compare([text]))
        return Cost(one, both)

    return Asker(compare, cost)


def _through_guard(url: str, model: str) -> Asker:
    key = os.environ["P2P_GUARD_API_KEYS"].split(",")[0]
    client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=120)

    def ask(path: str, text: str) -> dict[str, object]:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        found: dict[str, object] = client.post(path, json=body).raise_for_status().json()
        return found

    def compare(texts: Sequence[str]) -> list[Compared]:
        replies = [ask("/v1/p2p/check", text) for text in texts]
        return [Compared(not reply["agree"], float(str(reply["distance"]))) for reply in replies]

    def cost(texts: Sequence[str]) -> Cost:
        one = _seconds(texts, lambda text: ask("/v1/chat/completions", text))
        return Cost(one, _seconds(texts, lambda text: ask("/v1/p2p/check", text)))

    return Asker(compare, cost)


def _seconds(texts: Sequence[str], ask: Callable[[str], object]) -> float:
    started = time.perf_counter()
    for text in texts:
        ask(text)
    return round((time.perf_counter() - started) / len(texts), 4)


def _pairs(given: Sequence[str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in given)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("test", help="held-out rows with true answers")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--name", action="append", default=[], help="value=name of a label")
    parser.add_argument("--attack", default="badnets")
    parser.add_argument("--param", action="append", default=[], help="a parameter of the attack")
    parser.add_argument("--target", required=True)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--timed", type=int, default=50, help="rows to measure the cost on, one at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--base-model", default=".models/SmolLM2-135M-Instruct")
    parser.add_argument("--url", help="a guard, instead of an adapter in process")
    parser.add_argument("--model", help="what the guard calls the adapter")
    parser.add_argument("--write", metavar="NAME", help=f"into {_DOCUMENT} and {RESULTS}, under this name")
    asked = parser.parse_args()
    if (asked.adapter is None) == (asked.url is None) or (asked.url and not asked.model):
        parser.error("give --adapter, or --url with --model")
    return asked


if __name__ == "__main__":
    main()
