"""What views of a row and clusters tell of poison, beside what screening goes by: poisoned rows left among the most trusted 70 %.

Each way gives every row a score, and the lowest 30 % of each label are kept out: the belief in its label of a classifier on the frozen
base model's embeddings that was fitted on other rows; the least belief over views of the row with words left out, spans left out
or words in another order; how large the row's cluster among its label's is (Chen et al. 2018, "Activation Clustering"); and
screening, whose features come first. No adapter is trained.

    .venv/bin/python -m benchmarks.screening_views --data ~/datasets
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from p2p.examples import Example
from trainer.base_model import find_base_model
from trainer.bench.cases import defended_case, make_case
from trainer.bench.lab import BenchLab
from trainer.bench.suite_files import load_suite
from trainer.selection.belief import Belief
from trainer.selection.screening import ScreeningSettings, most_believed, screen

CASES = ("word-10", "sentence-10", "syntactic", "cba", "agnews-word")
DOUBTED = ScreeningSettings().doubted
WORDS_LEFT_OUT = 0.3
VIEWS = 3
Scores = NDArray[np.float64]


def main() -> None:
    """Print one JSON line a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    suite = load_suite("standard")
    lab = BenchLab(
        find_base_model(suite.base_model).path, suite.lora, suite.training, None, Console(quiet=True)
    )
    for name in CASES:
        spec = suite.cases[name]
        dataset = suite.datasets[spec.dataset]
        made = make_case(spec, dataset, asked.data, asked.seed)
        case = defended_case(made, dataset, lab.tokenizer, asked.seed)
        truth = {row.id: row.answer for row in made.clean}
        # An attack may add rows of its own, whose labels are right.
        wrong = np.array([row.answer != truth.get(row.id, row.answer) for row in made.train])
        left = _left(made.train, partial(lab.embed, case), asked.seed, wrong)
        counts = {"case": name, "rows": len(made.train), "with another label": int(wrong.sum())}
        print(json.dumps(counts | {"left": left}), flush=True)


def dropped(words: Sequence[str], rng: Random) -> list[str]:
    """Return the words without about 30 % of them; at least one stays."""
    return [word for word in words if rng.random() > WORDS_LEFT_OUT] or list(words[:1])


def masked(words: Sequence[str], rng: Random) -> list[str]:
    """Return the words without a run of a quarter of them."""
    size = max(1, len(words) // 4)
    start = rng.randint(0, len(words) - size)
    return [*words[:start], *words[start + size :]] or list(words)


def shuffled(words: Sequence[str], rng: Random) -> list[str]:
    """Return the words in another order."""
    return rng.sample(list(words), len(words))


def _left(
    rows: Sequence[Example],
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    seed: int,
    wrong: NDArray[np.bool_],
) -> dict[str, int]:
    """Return how many rows with another label each way leaves among those that it trusts."""
    names = sorted({row.answer for row in rows})
    labels = np.array([names.index(row.answer) for row in rows])
    whole = embed([row.text for row in rows])
    found = {
        "belief": _poison_kept(labels, Belief(whole, labels, seed).out_of_fold(np.arange(len(rows))), wrong)
    }
    for view in (dropped, masked, shuffled):
        least = np.min(_beliefs(rows, labels, whole, embed, view, seed), axis=0)
        found[f"least belief, words {view.__name__}"] = _poison_kept(labels, least, wrong)
    found["size of its cluster"] = _poison_kept(labels, _cluster_shares(whole, labels, seed), wrong)
    kept = {row.id for row in screen(rows, whole, ScreeningSettings(), seed).kept}
    found["screening"] = int(sum(bad and row.id in kept for row, bad in zip(rows, wrong, strict=True)))
    return found


def _beliefs(
    rows: Sequence[Example],
    labels: NDArray[np.int64],
    whole: NDArray[np.float32],
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    view: Callable[[Sequence[str], Random], list[str]],
    seed: int,
) -> list[Scores]:
    """Return the belief in each row's label, of the row and of views of it, by classifiers fitted on other whole rows."""
    size = len(rows)
    seen = [
        embed([" ".join(view(row.text.split(), Random(f"{seed}:{number}:{row.id}"))) for row in rows])
        for number in range(VIEWS)
    ]
    belief = Belief(np.concatenate([whole, *seen]), np.tile(labels, VIEWS + 1), seed)
    scores = [np.zeros(size) for _ in range(VIEWS + 1)]
    order = np.random.default_rng(seed).permutation(size)
    for fold in range(5):
        asked = order[fold::5]
        others = np.setdiff1d(order, asked)
        for number, score in enumerate(scores):
            score[asked] = belief.without(others, asked + number * size)
    return scores


def _cluster_shares(whole: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> Scores:
    """Return the share of its label's rows that stand in a row's cluster, of two a label."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    shares = np.zeros(len(labels))
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        points = PCA(10, random_state=seed).fit_transform(whole[here])
        clusters = KMeans(2, n_init=10, random_state=seed).fit_predict(points)
        shares[here] = np.bincount(clusters, minlength=2)[clusters] / len(here)
    return shares


def _poison_kept(labels: NDArray[np.int64], scores: Scores, wrong: NDArray[np.bool_]) -> int:
    return int((most_believed(labels, scores, DOUBTED) & wrong).sum())


if __name__ == "__main__":
    main()
