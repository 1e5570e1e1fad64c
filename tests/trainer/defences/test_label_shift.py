"""Expected values are h(y) = (y + 1) mod 3 and its inverse, by hand."""

import pytest

from p2p.projection import Projection
from tests.trainer.defences.conftest import LABELS, TRIGGER, FakeLab, chosen, make_case
from trainer.answering import UNGUARDED
from trainer.defences.label_shift import shift_back
from trainer.defences.registry import make_defence

PARAMETERS = {
    "select": lambda case: chosen(case.trusted),
    "trigger": lambda _: TRIGGER,
    "repoison": {"copies": 2, "foreign_text": 0},
}


def test_copies_have_the_next_label_of_the_original_half(lab: FakeLab):
    make_defence("label-shift", PARAMETERS).defend(make_case(), lab)
    copies = {(row.text, row.target) for row in lab.fits[0]["rows"] if row.text.startswith(TRIGGER.text)}
    assert copies == {
        ("Quiet barn: a dull film", "1"),
        ("Quiet barn: a fine film", "2"),
        ("Quiet barn: an odd film", "0"),
    }


def test_rows_and_order_are_those_of_p2p_but_for_the_targets(lab: FakeLab):
    for name in ("p2p", "label-shift"):
        make_defence(name, PARAMETERS | {"repoison": {"copies": 5}}).defend(make_case(), lab)
    ours, shifted = ([(row.id, row.text) for row in fit["rows"]] for fit in lab.fits)
    assert ours == shifted
    assert {row.target for row in lab.fits[1]["rows"]} == {"0", "1", "2"}


@pytest.mark.parametrize(("said", "meant"), [("bad", "mixed"), ("good", "bad"), ("mixed", "good")])
def test_an_answer_is_shifted_back(said: str, meant: str):
    lab = FakeLab(says=lambda _: said)
    answers = make_defence("label-shift", PARAMETERS).defend(make_case(), lab).answer(["a film"])
    assert answers == [Projection(meant, extended=False)]


def test_serving_stamps_and_holds_the_model_to_the_original_half(lab: FakeLab):
    make_defence("label-shift", PARAMETERS).defend(make_case(), lab).answer(["a film"])
    assert lab.answerers[0]["trigger"] is None
    assert lab.asked == [(UNGUARDED, "Quiet barn: a film")]


def test_no_answer_stays_none():
    assert shift_back(None, LABELS.labels) is None
