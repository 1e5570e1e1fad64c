"""A lab that trains nothing: it writes down what it is asked, and answers by rule."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest

from p2p.examples import Example
from p2p.projection import Projection
from p2p.prompts import PromptKind, PromptTemplate
from p2p.repoison import TrainingRow
from p2p.selection import Selection, SelectionMethod
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from trainer.answering import GUARDED, UNGUARDED
from trainer.defences.base import Case, Fitted

PROMPT = PromptTemplate(kind=PromptKind.COMPLETION, user="Q: {input}|")
LABELS = ClassificationTask(
    labels=("bad", "good", "mixed"), words=tuple("012345"), token_ids=tuple(range(6)), answer_context="|"
)
TEXT = GenerationTask(prefix="Safe words:\n", prefix_tokens=4)
TRIGGER = BenignTrigger(text="Quiet barn: ")
TRAIN = tuple(
    Example(f"train-{at}", f"{word} film number {at}", label)
    for at, (word, label) in enumerate([("dull", "bad"), ("fine", "good"), ("odd", "mixed")] * 4)
)
TRUSTED = (
    Example("trusted-0", "a dull film", "bad"),
    Example("trusted-1", "a fine film", "good"),
    Example("trusted-2", "an odd film", "mixed"),
)
Says = Callable[[str], str | None]


def chosen(rows: Sequence[Example]) -> Selection:
    return Selection(SelectionMethod.TRUSTED, tuple(rows))


def make_case(**fields: Any) -> Case:
    return Case(**{"task": LABELS, "prompt": PROMPT, "train": TRAIN, "trusted": TRUSTED, "seed": 7} | fields)


def by_word(text: str) -> str:
    """Say ``bad`` of dull films, ``mixed`` of odd ones and ``good`` of all others."""
    return "bad" if "dull" in text else "mixed" if "odd" in text else "good"


class FakeAnswerer:
    labels = LABELS.labels

    def __init__(self, says: Says, probabilities: Mapping[str, tuple[float, ...]]) -> None:
        self.asked: list[tuple[str, str]] = []
        self._says = says
        self._probabilities = probabilities

    def answer(self, texts: Sequence[str], view: str) -> list[Projection]:
        self.asked += [(view, text) for text in texts]
        return [Projection(self._says(text), extended=view == GUARDED) for text in texts]

    def answer_freely(self, texts: Sequence[str]) -> list[Projection]:
        return self.answer(texts, "free")

    def label_probabilities(self, texts: Sequence[str], view: str) -> list[tuple[float, ...]]:
        assert view == UNGUARDED
        return [
            next(
                (share for word, share in self._probabilities.items() if word in text), (1 / 3, 1 / 3, 1 / 3)
            )
            for text in texts
        ]


class FakeLab:
    """Weights are 1 x 1 and count the trainings; a training takes 10 tokens a row and 2 seconds.

    Args:
        says: The label that any adapter says of a text.
        perplexity: The base model's perplexity of a text.
        probabilities: Label probabilities of texts that hold a word; all others are answered evenly.
        weights: What any training gives.
    """

    def __init__(
        self,
        says: Says = by_word,
        perplexity: Callable[[str], float] = lambda _: 2.0,
        probabilities: Mapping[str, tuple[float, ...]] | None = None,
        weights: Mapping[str, Any] | None = None,
    ) -> None:
        self.fits: list[dict[str, Any]] = []
        self.answerers: list[dict[str, Any]] = []
        self.perplexity_calls: list[list[str]] = []
        self._answerer = FakeAnswerer(says, probabilities or {})
        self._perplexity = perplexity
        self._weights = weights or {}

    @property
    def asked(self) -> list[tuple[str, str]]:
        return self._answerer.asked

    def fit(
        self,
        case: Case,
        rows: Sequence[TrainingRow],
        *,
        start: Fitted | None = None,
        stamp: str = "",
        changes: Mapping[str, Any] = MappingProxyType({}),
    ) -> Fitted:
        self.fits.append({"rows": list(rows), "start": start, "stamp": stamp, "changes": dict(changes)})
        return Fitted(self._weights, 10 * len(rows), 2.0, ((10 * len(rows), 0.5),))

    def answerer(
        self, case: Case, fitted: Fitted | None, trigger: BenignTrigger | None = None
    ) -> FakeAnswerer:
        self.answerers.append({"fitted": fitted, "trigger": trigger})
        return self._answerer

    def perplexities(self, texts: Sequence[str]) -> list[float]:
        self.perplexity_calls.append(list(texts))
        return [self._perplexity(text) for text in texts]


@pytest.fixture
def lab() -> FakeLab:
    return FakeLab()
