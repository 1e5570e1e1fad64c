"""What the selection stage is told: one block, in the YAML of a run and in that of a suite."""

from pydantic import BaseModel, ConfigDict, Field

from p2p.selection import SelectionMethod
from trainer.selection.screening import ScreeningSettings


class SelectionSettings(BaseModel):
    """Which rows are re-poisoned.

    Attributes:
        method: Where they come from; a run that does not say takes its trusted rows, and screens where it has none.
        rho: The share of the training set that ``random`` draws, in (0, 1]; the most that ``screened`` keeps, but
            for one row of each label.
        screening: When screening keeps a row out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: SelectionMethod = SelectionMethod.TRUSTED
    rho: float = Field(default=0.33, gt=0, le=1)
    screening: ScreeningSettings = ScreeningSettings()
