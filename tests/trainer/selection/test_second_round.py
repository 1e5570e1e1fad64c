"""The second round: which rows first adapters are asked about, and who is a suspect then. Adapters are made up here."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from p2p.examples import Example
from trainer.selection.second_round import SecondLook, SecondRoundSettings, Views, look_again

ROWS = [Example(f"r{at}", f"text {at}", ("no", "yes")[at % 2]) for at in range(12)]
COPIED = ROWS[:8]


class Made:
    """Adapters that believe every label but those of some rows, and remember what they were asked."""

    def __init__(
        self, guarded: dict[str, float] | None = None, plain: dict[str, float] | None = None
    ) -> None:
        self.guarded = guarded or {}
        self.plain = plain or {}
        self.asked: dict[int, set[str]] = {}
        self.taught: dict[int, list[Example]] = {}

    def __call__(self, number: int, part: Sequence[Example], asked: Sequence[Example]) -> Views:
        self.taught[number] = list(part)
        self.asked[number] = {row.id for row in asked}
        return Views(*(self._said(asked, known) for known in (self.guarded, self.plain)))

    @staticmethod
    def _said(asked: Sequence[Example], known: dict[str, float]) -> Any:
        own = [known.get(row.id, 0.9) for row in asked]
        return np.array(
            [
                (one, 1 - one) if row.answer == "no" else (1 - one, one)
                for row, one in zip(asked, own, strict=True)
            ]
        )


def look(adapters: Any, seed: int = 0, **settings: Any) -> SecondLook:
    return look_again(ROWS, COPIED, ("no", "yes"), SecondRoundSettings(**settings), seed, adapters)


def test_each_copied_row_is_taught_to_one_adapter_and_asked_of_the_other():
    adapters = Made()
    look(adapters)
    taught = {number: {row.id for row in part} for number, part in adapters.taught.items()}
    assert taught[0] | taught[1] == {row.id for row in COPIED}
    assert not taught[0] & taught[1]
    for number in (0, 1):
        assert adapters.asked[number] == {row.id for row in ROWS} - taught[number]


def test_the_parts_have_as_many_rows_of_each_label_in_their_order():
    adapters = Made()
    look(adapters)
    for part in adapters.taught.values():
        assert Counter(row.answer for row in part) == {"no": 2, "yes": 2}
        assert part == [row for row in ROWS if row in part]


def test_the_seed_decides_the_parts():
    parts = []
    for seed in (0, 0, 1):
        adapters = Made()
        look(adapters, seed)
        parts.append(adapters.taught[0])
    assert parts[0] == parts[1] != parts[2]


def test_where_all_is_believed_nobody_is_a_suspect():
    assert look(Made()).suspects == frozenset()


def test_a_row_that_the_guarded_view_disbelieves_and_the_plain_one_repeats_is_a_suspect():
    assert look(Made(guarded={"r3": 0.2, "r10": 0.4})).suspects == {"r3", "r10"}


def test_a_row_that_the_plain_view_alone_disbelieves_is_one_too():
    assert look(Made(plain={"r2": 0.3})).suspects == {"r2"}


def test_more_may_be_asked_of_the_guarded_view():
    made = Made(guarded={"r2": 0.6, "r3": 0.2})
    assert look(made, believed=0.7).suspects == {"r2", "r3"}


def test_rows_without_a_copy_are_judged_by_the_mean_of_both_adapters():
    class Divided(Made):
        def __call__(self, number: int, part: Sequence[Example], asked: Sequence[Example]) -> Views:
            self.guarded = {"r8": (0.9, 0.3)[number], "r9": (0.9, 0.05)[number]}
            return super().__call__(number, part, asked)

    found = look(Divided())
    np.testing.assert_allclose(found.views.guarded[8], (0.6, 0.4))
    assert found.suspects == {"r9"}


def test_the_report_has_the_suspects_ids_and_scores_alone():
    found = look(Made(guarded={"r3": 0.2}, plain={"r3": 0.95}))
    assert found.report == {"r3": {"guarded": 0.2, "plain": 0.95}}


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"believed": 1.5}, {"unknown": 1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        SecondRoundSettings(**wrong)
