"""A share k/n with its 95 % Wilson score interval."""

import math
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# The 0.975 quantile of the standard normal distribution.
_Z95 = 1.959963984540054


class Interval(NamedTuple):
    """Both ends of an interval, each in [0, 1]."""

    low: float
    high: float


class Rate(BaseModel):
    """How often something happened.

    Attributes:
        k: How often it happened.
        n: How often it could have happened; 0 when nothing was asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(ge=0)
    n: int = Field(ge=0)

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k = {self.k} is more than n = {self.n}")
        return self

    @classmethod
    def of(cls, outcomes: list[bool]) -> Self:
        """Count the true outcomes."""
        return cls(k=sum(outcomes), n=len(outcomes))

    @property
    def value(self) -> float:
        """K / n, or NaN when n is 0."""
        return self.k / self.n if self.n else math.nan

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson score interval; [0, 1] when n is 0.

        Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927).
        """
        if not self.n:
            return Interval(0.0, 1.0)
        share, z2n = self.value, _Z95**2 / self.n
        middle = (share + z2n / 2) / (1 + z2n)
        half = _Z95 * math.sqrt(share * (1 - share) / self.n + z2n / (4 * self.n)) / (1 + z2n)
        # At k = 0 and k = n the exact ends are 0 and 1; rounding must not move them.
        low = 0.0 if self.k == 0 else max(0.0, middle - half)
        high = 1.0 if self.k == self.n else min(1.0, middle + half)
        return Interval(low, high)

    def as_json(self) -> dict[str, float | int | None]:
        """Return k, n, value and both ends of the interval as plain numbers; the value is None when n is 0."""
        low, high = self.interval
        return {"k": self.k, "n": self.n, "value": self.value if self.n else None, "low": low, "high": high}

    def __str__(self) -> str:
        if not self.n:
            return "- (0/0)"
        low, high = self.interval
        return f"{self.value:.3f} ({self.k}/{self.n}, {low:.3f}-{high:.3f})"
