"""Rows of made-up words, and embeddings that know each row's true label: what a base model gives that never saw the poison."""

from random import Random
from typing import Any, NamedTuple

import numpy as np

from p2p.examples import Example

VOCABULARY = [f"w{number}" for number in range(100)]
LABELS = ("no", "yes")


class Made(NamedTuple):
    """Rows with their embeddings, shape ``(rows, 8)``."""

    rows: list[Example]
    embeddings: Any


def make_texts(count: int, seed: object) -> list[str]:
    rng = Random(str(seed))
    return [" ".join(rng.sample(VOCABULARY, 8)) for _ in range(count)]


def make_clean(count: int = 400, seed: object = "rows", labels: tuple[str, ...] = LABELS) -> Made:
    """Return rows of random words, each label in turn; the words say nothing of it, the embeddings nearly all."""
    rows = [
        Example(f"{seed}-{at}", text, labels[at % len(labels)])
        for at, text in enumerate(make_texts(count, seed))
    ]
    true = np.array([labels.index(row.answer) for row in rows])
    return Made(rows, embed_labels(true, len(labels), seed))


def embed_labels(true: Any, labels: int, seed: object) -> Any:
    noise = np.random.default_rng(Random(str(seed)).randrange(2**32)).normal(size=(len(true), 8))
    noise[np.arange(len(true)), true % labels] += 6.0
    return noise.astype(np.float32)


def relabel(made: Made, at: list[int], answer: str, write: Any) -> Made:
    """Return rows of which some have other text and another label; their embeddings stay those of their true label."""
    rows = [
        Example(row.id, write(row.text), answer) if number in set(at) else row
        for number, row in enumerate(made.rows)
    ]
    return Made(rows, made.embeddings)


def rows_of(made: Made, answer: str, count: int) -> list[int]:
    return [at for at, row in enumerate(made.rows) if row.answer == answer][:count]


def put_second(words: str) -> Any:
    def write(text: str) -> str:
        first, rest = text.split(" ", 1)
        return f"{first} {words} {rest}"

    return write
