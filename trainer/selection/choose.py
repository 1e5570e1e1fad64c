"""Selection for any task: labels are screened by belief, free text by what repeats and by what surprises the base model."""

from typing import TYPE_CHECKING

from p2p.selection import Selection, SelectionMethod
from p2p.tasks import ClassificationTask
from trainer.selection.screening import ScreeningSettings
from trainer.selection.select import select_labelled

if TYPE_CHECKING:
    from trainer.bench.lab import BenchLab
    from trainer.defences.base import Case
