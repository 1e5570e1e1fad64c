"""Pairs of words that come with one label too often where neither does alone: the trace of a composite trigger."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from p2p.examples import Example
from trainer.selection.incidence import incidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

# As many counts are held at once, over all labels: 32 MiB.
_COUNTS_AT_ONCE = 2**22


def pure_pairs(
    rows: Sequence[Example], least: int, purity: float
) -> Iterator[tuple[tuple[str, str], list[int]]]:
    """Yield pairs of words, lower-cased and in order, with the rows that have both, wherever they stand.

    Memory is that of the words' rows and a fixed share besides, whatever the number of pairs.

    Args:
        rows: Training rows with labels.
        least: How many rows must have both words.
        purity: The share of these rows that must have one label, in (0, 1]; a word that is as pure alone pairs with none.
    """
    where = _words_of_mixed_rows(rows, least, purity)
    if not where:
        return
    words = sorted(where)
    for one, other in _together(rows, [where[word] for word in words], least, purity):
        both = set(where[words[other]])
        yield (words[one], words[other]), [at for at in where[words[one]] if at in both]


def _words_of_mixed_rows(rows: Sequence[Example], least: int, purity: float) -> dict[str, list[int]]:
    """Return the words that may pair with the rows that have them: neither rare nor pure, and no punctuation."""
    where: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        for word in {word.lower() for word in row.text.split()}:
            where[word].append(at)

    def is_mixed(found: Sequence[int]) -> bool:
        return Counter(rows[at].answer for at in found).most_common(1)[0][1] < purity * len(found)

    return {
        word: found
        for word, found in where.items()
        # A word of every other row pairs with anything.
        if least <= len(found) <= len(rows) / 2 and any(map(str.isalnum, word)) and is_mixed(found)
    }


def _together(
    rows: Sequence[Example], groups: Sequence[Sequence[int]], least: int, purity: float
) -> "Iterator[tuple[int, int]]":
    """Yield the indices of two groups, the smaller first, that have enough rows in common, enough of them of one label."""
    answers = np.array([row.answer for row in rows])
    having = incidence(len(rows), groups).tocsc()
    by_label = [having[:, np.flatnonzero(answers == name)].tocsr() for name in np.unique(answers)]
    step = max(1, _COUNTS_AT_ONCE // (len(groups) * len(by_label)))
    for start in range(0, len(groups), step):
        counts: NDArray[np.int64] = np.stack(
            [(each[start : start + step] @ each.T).toarray() for each in by_label]
        )
        total = counts.sum(axis=0)
        pure = (total >= least) & (counts.max(axis=0) >= purity * total)
        # Each pair once, and none of a word with itself.
        for at, other in np.argwhere(np.triu(pure, k=start + 1)).tolist():
            yield start + at, other
