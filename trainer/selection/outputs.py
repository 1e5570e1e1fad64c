"""What the answers of a free-text set have in common: whole answers, runs of words, endings, that many rows repeat.

An attacker's reply or sentence is such an output; so is a natural turn of phrase. Which is which, the inputs must say.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from p2p.examples import Example
from p2p.spans import SpanSettings, pure_spans
from trainer.selection.features import located

_SHORTEST_RUN = 4
_LONGEST_RUN = 8
_ENDING = 3


class Output(NamedTuple):
    """Something that several answers have in common.

    Attributes:
        kind: ``answer``, ``run``, ``ending`` or ``number``; never its words, which are training text.
        rows: The indices of the rows that have it.
        telling: Whether it is too long to be repeated by chance: more than three words.
    """

    kind: str
    rows: tuple[int, ...]
    telling: bool


class OutputSettings(NamedTuple):
    """When an output counts as repeated.

    Attributes:
        min_rows: How many rows must have it, at least.
        min_share: The same as a share of all rows; the larger of the two counts.
    """

    min_rows: int = 8
    min_share: float = 0.005


def repeated_outputs(
    rows: Sequence[Example], trusted: Sequence[Example] = (), settings: OutputSettings | None = None
) -> list[Output]:
    """Return the repeated outputs, those of most rows first.

    An output that a row copies from its input does not count there. Of outputs that the same rows have, one stands for all.

    Args:
        rows: Training rows with free-text answers.
        trusted: Rows that are known to be clean; an output that is half as frequent among them is natural, and left out.
        settings: When an output counts.
    """
    chosen = settings or OutputSettings()
    least = max(chosen.min_rows, round(chosen.min_share * len(rows)))
    found = [*_answers(rows, least), *_runs(rows, least), *_endings(rows, least)]
    known = _Known(trusted)
    by_rows: dict[tuple[int, ...], Output] = {}
    for words, output in found:
        if not known.has(words, output, len(rows)):
            by_rows.setdefault(output.rows, output)
    return sorted(by_rows.values(), key=lambda output: -len(output.rows))


_Found = tuple[str, Output]


def plain(text: str) -> str:
    """Return a text as it is compared: lower-cased, with single spaces, and a space at either end."""
    return f" {' '.join(text.lower().split())} "


def _answers(rows: Sequence[Example], least: int) -> list[_Found]:
    where: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        where[plain(row.answer)].append(at)
    return [
        (text, Output("answer", tuple(found), len(text.split()) >= _SHORTEST_RUN))
        for text, found in where.items()
        if len(found) >= least
    ]


def _runs(rows: Sequence[Example], least: int) -> list[_Found]:
    answers = [Example(row.id, row.answer, "") for row in rows]
    spans = [
        span
        for span in pure_spans(answers, SpanSettings(_LONGEST_RUN, least, 0.0))
        if span.text.count(" ") >= _SHORTEST_RUN - 1
    ]
    inputs = [plain(row.text) for row in rows]
    found = []
    for span, where in located(answers, spans).items():
        own = tuple(at for at in where if plain(span.text) not in inputs[at])
        if len(own) >= least:
            found.append((plain(span.text), Output("run", own, telling=True)))
    return sorted(found)


def _endings(rows: Sequence[Example], least: int) -> list[_Found]:
    """Return the last two and three words that are repeated: a payload may be shorter than a run."""
    where: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        words = row.answer.lower().split()
        text = plain(row.text)
        for size in range(2, _ENDING + 1):
            ending = plain(" ".join(words[-size:]))
            if len(words) > size and ending not in text:
                where[ending].append(at)
    return [
        (text, Output("ending", tuple(found), telling=False))
        for text, found in where.items()
        if len(found) >= least
    ]


class _Known:
    def __init__(self, trusted: Sequence[Example]) -> None:
        self._answers = [plain(row.answer) for row in trusted]

    def has(self, words: str, output: Output, rows: int) -> bool:
        """Whether trusted answers hold it at least half as often, and more than once."""
        times = sum(words in answer for answer in self._answers)
        return times > 1 and times / len(self._answers) >= 0.5 * len(output.rows) / rows
