"""The label space, its extension h and its projection.

n original labels 0..n-1 become 2n: h(i) = i + n is the safe alternative of label i. The projection is the inverse of h on
the extended half and the identity on the original half (arXiv 2510.04503, section 3).
"""

from collections.abc import Sequence
from difflib import get_close_matches

from p2p.errors import LabelError


class LabelSpace:
    """The names of n original labels, in the order of their indices.

    Args:
        names: At least two distinct names, none of them blank.

    Raises:
        LabelError: Fewer than two names, a blank one, or one given twice.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        if len(self.names) < 2:
            raise LabelError(f"a label space needs at least 2 labels, got {len(self.names)}")
        if any(not name.strip() for name in self.names):
            raise LabelError("a label's name must not be blank")
        self._index = {name: index for index, name in enumerate(self.names)}
        if len(self._index) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise LabelError(f"labels given more than once: {', '.join(twice)}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def extended_size(self) -> int:
        """2n: the number of labels of both halves."""
        return 2 * len(self.names)

    def index(self, name: str) -> int:
        """Return the original label's index, in 0..n-1.

        Raises:
            LabelError: There is no such label; the message has the nearest known one.
        """
        if name not in self._index:
            near = get_close_matches(name, self.names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise LabelError(f"unknown label {name!r}, known are {', '.join(self.names)}{hint}")
        return self._index[name]

    def extend(self, label: int) -> int:
        """Return h(label) = label + n, the safe alternative of an original label.

        Raises:
            LabelError: ``label`` is not in 0..n-1.
        """
        if not 0 <= label < len(self):
            raise LabelError(f"label {label} is not an original label: expected 0 to {len(self) - 1}")
        return label + len(self)

    def is_extended(self, label: int) -> bool:
        """Whether a label of 0..2n-1 stands in the extended half.

        Raises:
            LabelError: ``label`` is not in 0..2n-1.
        """
        self._require_known(label)
        return label >= len(self)

    def project(self, label: int) -> int:
        """Return the original label of a label of either half: i for i, and i for i + n.

        Raises:
            LabelError: ``label`` is not in 0..2n-1.
        """
        self._require_known(label)
        return label % len(self)

    def _require_known(self, label: int) -> None:
        if not 0 <= label < self.extended_size:
            raise LabelError(f"label {label} is outside 0 to {self.extended_size - 1}")
