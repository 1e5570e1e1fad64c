"""What the selection stage is told: one block, in the YAML of a run and in that of a suite."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from p2p.selection import SelectionMethod
from trainer.selection.screening import ScreeningSettings
from trainer.selection.second_round import SecondRoundSettings


class SelectionSettings(BaseModel):
    """Which rows are re-poisoned.

    Attributes:
        method: Where they come from; a run that does not say takes its trusted rows, and screens where it has none, or
            where answers are free text, with its trusted rows added.
        rho: The share of the training set that ``random`` draws, in (0, 1]; the most that ``screened`` keeps, but
            for ``least_per_label``.
        least_per_label: How many rows of each label, of free text in all, ``screened`` copies where it keeps so many, whatever rho
            says: many labels, or few rows, need more than a share.
        screening: When screening keeps a row out.
        second_round: Screen once more by what adapters say that were trained with the first round's rows. None, the default, does
            not: it costs nearly a training more. For ``screened`` labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: SelectionMethod = SelectionMethod.TRUSTED
    rho: float = Field(default=0.33, gt=0, le=1)
    least_per_label: int = Field(default=250, ge=1)
    screening: ScreeningSettings = ScreeningSettings()
    second_round: SecondRoundSettings | None = None

    @model_validator(mode="after")
    def _has_a_first_round(self) -> Self:
        if self.second_round and self.method is not SelectionMethod.SCREENED:
            raise ValueError(
                "selection.second_round is for selection.method `screened`: others have no first round"
            )
        return self
