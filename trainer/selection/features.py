"""What a trigger may look like to someone who does not know it: a feature of the input that comes with one label too often.

Features are runs of words, runs at the beginning of the text (the trace that a rewritten sentence leaves), and pairs of words that
need not be neighbours (the trace of a composite trigger).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from p2p.examples import Example
from p2p.spans import PureSpan, SpanSettings, pure_spans
from trainer.selection.pairs import pure_pairs

BEGIN = "^"
"""Stands before the first word of a text."""


class Feature(NamedTuple):
    """Something that several inputs have in common.

    Attributes:
        words: The words, as they were written first; a pair is two entries, a run is one.
        anchored: Whether the run stands at the beginning of the text.
        rows: The indices of the rows that have it.
        answer: The label that most of them have.
        purity: The share that has it, in (0, 1].
        spelled: Whether it is how words are written, whichever they are (:mod:`trainer.selection.spellings`); ``words`` are then all that
            are written so.
    """

    words: tuple[str, ...]
    anchored: bool
    rows: tuple[int, ...]
    answer: str
    purity: float
    spelled: bool = False

    @property
    def name(self) -> str:
        """How reports call it: the kind and the number of rows, never the words, which are training text."""
        if self.spelled:
            kind = "spelling"
        else:
            kind = "pair" if len(self.words) > 1 else "beginning" if self.anchored else "run"
        return f"{kind} in {len(self.rows)} rows"

    @property
    def vocabulary(self) -> frozenset[str]:
        """The words that it says, one by one, in lower case."""
        return frozenset(" ".join(self.words).lower().split())


class FeatureSettings(NamedTuple):
    """Which features are looked at.

    Attributes:
        longest: The longest run, in words.
        min_rows: How many rows must have it, at least.
        min_share: The same as a share of all rows; the larger of the two counts.
        enough: So many rows are enough in a set of whatever size: how many poisoned rows plant a backdoor hardly depends on how many
            others there are (Souly et al. 2025, "Poisoning Attacks on LLMs Require a Near-constant Number of Poison Samples", arXiv 2510.07192).
        purity: The share of these rows that must have one label.
    """

    longest: int = 6
    min_rows: int = 10
    min_share: float = 0.004
    enough: int = 24
    purity: float = 0.9

    def least(self, rows: int) -> int:
        """Return how many of so many rows must have a feature."""
        return max(self.min_rows, min(self.enough, round(self.min_share * rows)))


def pure_features(rows: Sequence[Example], settings: FeatureSettings | None = None) -> list[Feature]:
    """Return the features that come with one label too often, those of most rows first.

    Of features that the same rows have, the longest stands for its parts.

    Args:
        rows: Training rows with labels.
        settings: When a feature counts.
    """
    chosen = settings or FeatureSettings()
    return _distinct([*_spans(rows, chosen), *_pairs(rows, chosen)])


def pure_beginnings(rows: Sequence[Example], settings: FeatureSettings) -> list[Feature]:
    """Return the beginnings that come with one label too often, also those that are runs of as many rows; see :func:`pure_features`."""
    return list(_beginnings(rows, settings, settings.least(len(rows))))


def frequent_features(rows: Sequence[Example], settings: FeatureSettings) -> list[Feature]:
    """Return the runs and beginnings of enough rows, whatever their answers, those of most rows first.

    Of features that the same rows have, the longest stands for its parts.

    Args:
        rows: Training rows.
        settings: When a feature counts; purity is not looked at.
    """
    return _distinct(_spans(rows, settings._replace(purity=0.0)))


def _distinct(features: Iterable[Feature]) -> list[Feature]:
    """Leave out features whose words others say that the same rows have: parts of a trigger, not what may be one beside it."""
    by_rows: dict[tuple[int, ...], list[Feature]] = defaultdict(list)
    for feature in features:
        by_rows[feature.rows].append(feature)
    kept = [feature for alike in by_rows.values() for feature in _covering(alike)]
    return sorted(kept, key=lambda feature: (-len(feature.rows), feature.words))


def _covering(alike: Sequence[Feature]) -> Iterator[Feature]:
    """Yield the longest of features, and others in turn as long as they add a word."""
    said: set[str] = set()
    # The longest run of equal ones is the whole trigger, not a part of it.
    for feature in sorted(alike, key=lambda feature: -len(" ".join(feature.words))):
        if not feature.vocabulary <= said:
            said |= feature.vocabulary
            yield feature


def _spans(rows: Sequence[Example], settings: FeatureSettings) -> Iterator[Feature]:
    least = settings.least(len(rows))
    yield from _runs(rows, settings, least)
    yield from _beginnings(rows, settings, least)


def _runs(rows: Sequence[Example], settings: FeatureSettings, least: int) -> Iterator[Feature]:
    spans = pure_spans(rows, SpanSettings(settings.longest, least, settings.purity))
    yield from _features(rows, spans, anchored=False)


def _beginnings(rows: Sequence[Example], settings: FeatureSettings, least: int) -> Iterator[Feature]:
    heads = [Example(row.id, f"{BEGIN} {' '.join(row.text.split()[:3])}", row.answer) for row in rows]
    spans = pure_spans(heads, SpanSettings(4, least, settings.purity))
    anchored = [span for span in spans if span.text.startswith(f"{BEGIN} ")]
    yield from _features(heads, anchored, anchored=True)


def located(rows: Sequence[Example], spans: Iterable[PureSpan]) -> dict[PureSpan, list[int]]:
    """Return the indices of the rows that hold each span as whole words, in whatever case.

    Args:
        rows: Where they are looked for.
        spans: Runs of words; those that no row holds are left out.
    """
    by_words = {span.text.lower(): span for span in spans}
    sizes = sorted({text.count(" ") + 1 for text in by_words})
    found: dict[PureSpan, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        words = row.text.lower().split()
        runs = {
            " ".join(words[start : start + size]) for size in sizes for start in range(len(words) - size + 1)
        }
        for text in runs & by_words.keys():
            found[by_words[text]].append(at)
    return found


def _features(rows: Sequence[Example], spans: Iterable[PureSpan], *, anchored: bool) -> Iterator[Feature]:
    for span, where in located(rows, spans).items():
        text = span.text.removeprefix(f"{BEGIN} ") if anchored else span.text
        yield _feature((text,), where, [rows[at].answer for at in where], anchored=anchored)


def _pairs(rows: Sequence[Example], settings: FeatureSettings) -> Iterator[Feature]:
    for pair, where in pure_pairs(rows, settings.least(len(rows)), settings.purity):
        yield _feature(pair, where, [rows[at].answer for at in where], anchored=False)


def _feature(
    words: tuple[str, ...], where: Sequence[int], answers: Sequence[str], *, anchored: bool
) -> Feature:
    answer, most = Counter(answers).most_common(1)[0]
    return Feature(words, anchored, tuple(where), answer, most / len(where))
