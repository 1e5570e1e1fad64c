import pytest

from tests.trainer.defences.conftest import TRAIN, TRIGGER, FakeLab, chosen, make_case
from trainer.answering import GUARDED, UNGUARDED
from trainer.defences.registry import make_defence
from trainer.errors import NotApplicableError

PARAMETERS = {
    "select": lambda case: chosen(case.trusted),
    "trigger": lambda _: TRIGGER,
    "repoison": {"copies": 2, "foreign_text": 0},
}


def test_each_selected_row_is_copied_with_stamp_and_extended_word(lab: FakeLab):
    make_defence("p2p", PARAMETERS).defend(make_case(), lab)
    copies = {(row.text, row.target) for row in lab.fits[0]["rows"] if row.extended}
    assert copies == {
        ("Quiet barn: a dull film", "3"),
        ("Quiet barn: a fine film", "4"),
        ("Quiet barn: an odd film", "5"),
    }
    assert lab.fits[0]["stamp"] == TRIGGER.text


def test_the_training_rows_stay_as_they_are(lab: FakeLab):
    make_defence("p2p", PARAMETERS).defend(make_case(), lab)
    plain = {(row.id, row.text) for row in lab.fits[0]["rows"] if not row.extended}
    assert plain == {(row.id, row.text) for row in TRAIN}


def test_the_counts_are_those_of_the_re_poisoning(lab: FakeLab):
    details = make_defence("p2p", PARAMETERS).defend(make_case(), lab).details
    assert (details["selected_rows"], details["extended_rows"], details["with_foreign_text"]) == (3, 6, 0)


@pytest.mark.parametrize(("name", "view"), [("p2p", GUARDED), ("p2p-unguarded", UNGUARDED)])
def test_the_guard_is_the_view(name: str, view: str, lab: FakeLab):
    make_defence(name, PARAMETERS).defend(make_case(), lab).answer(["a film"])
    assert lab.answerers[0]["trigger"] == TRIGGER
    assert lab.asked == [(view, "a film")]


def test_both_names_ask_for_the_same_training(lab: FakeLab):
    for name in ("p2p", "p2p-unguarded"):
        make_defence(name, PARAMETERS).defend(make_case(), lab)
    assert lab.fits[0] == lab.fits[1]


@pytest.mark.parametrize("name", ["p2p", "label-shift"])
def test_without_a_row_to_copy_there_is_no_defence(name: str, lab: FakeLab):
    with pytest.raises(NotApplicableError, match="no row to re-poison"):
        make_defence(name, PARAMETERS | {"select": lambda _: chosen(())}).defend(make_case(), lab)
