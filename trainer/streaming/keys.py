"""Keyed hashes: a draw for a row that depends on the seed and the row's id alone, not on where the row stands."""

from hashlib import blake2b

from p2p.examples import Example

_BITS = 64


class KeyedHash:
    """Gives every name a number of 64 bits that the seed decides and that looks uniform.

    Args:
        seed: Of the run.
        purpose: Keeps one use of the seed apart from another.
    """

    def __init__(self, seed: int, purpose: str) -> None:
        self._state = blake2b(f"{seed}:{purpose}:".encode(), digest_size=_BITS // 8)

    def __call__(self, name: str) -> int:
        """Return the number of a name, in 0 .. 2**64 - 1."""
        state = self._state.copy()
        state.update(name.encode())
        return int.from_bytes(state.digest(), "big")


class HashShare:
    """Takes each row with the same chance, whatever the order in which the rows come.

    The number of rows taken is binomial: of ten million rows and a share of 0.2 it is 2,000,000 give or take 2,500 (two
    standard deviations). In a stream an exact number would take a second pass.

    Args:
        share: The chance of a row, in (0, 1].
        seed: Decides which rows.

    Raises:
        ValueError: ``share`` is out of range.
    """

    def __init__(self, share: float, seed: int) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {share}")
        self.share = share
        self._limit: int = round(share * 2**_BITS)
        self._hash = KeyedHash(seed, "selection")

    def takes(self, row: Example) -> bool:
        """Whether a row is taken."""
        return self._hash(row.id) < self._limit
