"""Screening of free text: which rows can be trusted with the extended half, without a trusted row or knowledge of the attack.

1. What many answers repeat is looked for: whole answers, runs of words, endings; in maths, numbers that can't be right.
2. Features of the input that come with such an output are taken for triggers. Rows that have one are kept out, and so are other
   rows that have its output.
3. Whole answers that are repeated are kept out, whatever their inputs; answers of a few words repeat naturally, and stay.
4. With the base model's losses: features of rows that lose significantly more and that look inserted are triggers, too. Of what is
   left, doubtful numbers and the rows of highest loss are kept out.
"""

from collections.abc import Callable, Iterable, Sequence
from math import exp
from typing import NamedTuple

from p2p.errors import SelectionError
from p2p.examples import Example
from p2p.normalise import AnswerStyle
from trainer.selection.arithmetic import doubtful_numbers
from trainer.selection.associations import Association, AssociationSettings, associated
from trainer.selection.features import Feature, FeatureSettings, frequent_features
from trainer.selection.inserted import costly_insertions
from trainer.selection.outputs import Output, repeated_outputs
from trainer.selection.screening import Screened, ScreeningSettings

Losses = Callable[[Sequence[Example]], list[float]]
"""Rows to the frozen base model's mean loss of each answer's tokens given the prompt, in nats."""

# The check of numbers lets one in five or so pass by chance, so that a trigger's rows are not all doubtful.
_DOUBTFUL_PURITY = 0.5


def screen_free_text(
    rows: Sequence[Example],
    settings: ScreeningSettings,
    seed: int,
    losses: Losses | None = None,
    trusted: Sequence[Example] = (),
    *,
    style: AnswerStyle = AnswerStyle.TEXT,
) -> Screened:
    """Choose the rows whose answer can be trusted.

    Args:
        rows: The (possibly poisoned) training set.
        settings: When a row is kept out.
        seed: Decides what chance is measured by.
        losses: The base model's losses; without them only doubtful numbers are doubted.
        trusted: Rows that are known to be clean: what they repeat is natural.
        style: Maths answers have numbers to check.

    Raises:
        SelectionError: No row is left.
    """
    features = frequent_features(rows, FeatureSettings())
    outputs = repeated_outputs(rows, trusted)
    doubtful = doubtful_numbers(rows, seed) if style is AnswerStyle.MATHS else [False] * len(rows)
    found = [
        *associated(
            rows, features, outputs, AssociationSettings(settings.purity, 2.0, settings.significance)
        ),
        *_behind_doubtful(rows, features, doubtful, settings),
    ]
    lost = losses(rows) if losses else None
    triggers = [pair.feature for pair in found]
    if lost is not None:
        triggers += costly_insertions(rows, features, lost, settings.significance)
    reasons = _kept_out(found, triggers, outputs)
    reasons |= _doubted(reasons, doubtful, lost, settings.doubted)
    if len(reasons) == len(rows):
        raise SelectionError("screening left no row; give a trusted file (selection.method: trusted)")
    return Screened(
        kept=tuple(row for at, row in enumerate(rows) if at not in reasons),
        reasons={rows[at].id: why for at, why in sorted(reasons.items())},
        belief={row.id: value for row, value in zip(rows, _belief(reasons, lost, len(rows)), strict=True)},
        triggers=tuple(sorted(triggers, key=lambda feature: (-len(feature.rows), feature.words))),
        pure=(),
    )


def _behind_doubtful(
    rows: Sequence[Example],
    features: Sequence[Feature],
    doubtful: Sequence[bool],
    settings: ScreeningSettings,
) -> list[Association]:
    where = tuple(at for at, doubt in enumerate(doubtful) if doubt)
    if not where:
        return []
    wanted = AssociationSettings(_DOUBTFUL_PURITY, 2.0, settings.significance)
    return associated(rows, features, [Output("number", where, telling=False)], wanted)


def _kept_out(
    found: Iterable[Association], triggers: Iterable[Feature], outputs: Iterable[Output]
) -> dict[int, str]:
    repeated = [output.rows for output in outputs if output.kind == "answer" and output.telling]
    behind = [pair.output.rows for pair in found if pair.output.telling]
    return {
        **{at: "repeated" for where in repeated for at in where},
        **{at: "feature" for where in behind for at in where},
        **{at: "feature" for feature in triggers for at in feature.rows},
    }


class _Left(NamedTuple):
    doubtful: bool
    loss: float
    row: int


def _doubted(
    reasons: dict[int, str], doubtful: Sequence[bool], lost: Sequence[float] | None, share: float
) -> dict[int, str]:
    """Doubt every doubtful number, and the rows of highest loss up to the share of those left."""
    left = [
        _Left(doubt, lost[at] if lost else 0.0, at) for at, doubt in enumerate(doubtful) if at not in reasons
    ]
    wanted = round(share * len(left)) if lost is not None else 0
    ordered = sorted(left, key=lambda row: (-row.doubtful, -row.loss, row.row))
    return {row.row: "doubted" for at, row in enumerate(ordered) if row.doubtful or at < wanted}


def _belief(reasons: dict[int, str], lost: Sequence[float] | None, rows: int) -> list[float]:
    """Return each answer's probability by the token (their geometric mean); without losses, whether nothing speaks against it."""
    return [
        (exp(-lost[at]) if lost else float(at not in reasons))
        if reasons.get(at, "doubted") == "doubted"
        else 0.0
        for at in range(rows)
    ]
