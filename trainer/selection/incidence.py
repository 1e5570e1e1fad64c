"""Which rows have what, as a sparse matrix: how often two things stand in the same row is a product of two such."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def incidence(rows: int, groups: Sequence[Sequence[int]]) -> "csr_array":
    """Return a matrix with a one where a group has a row, shape ``(groups, rows)``.

    Args:
        rows: How many rows there are.
        groups: The indices of each group's rows, each once; one group at least.
    """
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *map(len, groups)])
    columns = np.concatenate([np.asarray(group, dtype=np.int64) for group in groups])
    return csr_array((np.ones(len(columns), dtype=np.int64), columns, ends), shape=(len(groups), rows))
