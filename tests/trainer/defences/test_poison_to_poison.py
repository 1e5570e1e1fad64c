from dataclasses import replace

import pytest

from tests.trainer.defences.conftest import TEXT, TRAIN, TRIGGER, FakeLab, chosen, make_case
from trainer.answering import FORCED, GUARDED, UNGUARDED
from trainer.defences.registry import make_defence
from trainer.errors import DefenceError, NotApplicableError

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


def test_the_benign_trigger_has_the_length_and_the_place_asked_for(lab: FakeLab):
    given = {"words": 3, "position": "after", "trigger": None}
    defended = make_defence("p2p", PARAMETERS | given).defend(make_case(), lab)
    served = lab.answerers[0]["trigger"]
    assert (len(served.phrase.split()), served.position) == (3, "after")
    assert all(row.text.endswith(served.text) for row in lab.fits[0]["rows"] if row.extended)
    assert lab.fits[0]["stamp"] == defended.stamp == served.text


def test_copies_carry_each_of_a_family_and_serving_the_first(lab: FakeLab):
    make_defence("p2p", PARAMETERS | {"triggers": 2, "trigger": None}).defend(make_case(), lab)
    starts = {row.text.split(": ")[0] for row in lab.fits[0]["rows"] if row.extended}
    assert len(starts) == 2
    assert lab.answerers[0]["trigger"].text.split(": ")[0] in starts


def test_rows_with_a_known_trigger_are_dropped_before_anything_is_selected(lab: FakeLab):
    rows = (replace(TRAIN[0], text=TRIGGER.stamp(TRAIN[0].text)), *TRAIN[1:])
    given = {"seen_trigger": "drop", "select": lambda case: chosen(case.train)}
    defended = make_defence("p2p", PARAMETERS | given).defend(make_case(train=rows), lab)
    assert {row.id.split("#")[0] for row in lab.fits[0]["rows"]} == {row.id for row in TRAIN[1:]}
    assert defended.details["rows_dropped"] == 1


@pytest.mark.parametrize("view", ["guarded", "free"])
def test_labels_are_asked_in_the_view_asked_for(view: str, lab: FakeLab):
    make_defence("p2p", PARAMETERS | {"view": view}).defend(make_case(), lab).answer(["a film"])
    assert lab.asked == [(view, "a film")]


def test_only_free_text_can_be_forced(lab: FakeLab):
    forced = make_defence("p2p", PARAMETERS | {"view": "forced"})
    with pytest.raises(NotApplicableError, match="only free text"):
        forced.defend(make_case(), lab)
    forced.defend(make_case(task=TEXT), lab).answer(["a film"])
    assert lab.asked == [(FORCED, "a film")]


def test_unguarded_serving_adds_nothing_whatever_the_view(lab: FakeLab):
    plain = make_defence("p2p-unguarded", PARAMETERS | {"view": "free"}).defend(make_case(), lab)
    plain.answer(["a film"])
    assert (lab.asked, plain.stamp) == ([(UNGUARDED, "a film")], "")


@pytest.mark.parametrize("fault", [{"words": 1}, {"triggers": 0}, {"position": "inside"}, {"view": "open"}])
def test_a_setting_out_of_range_is_named(fault: dict[str, object]):
    with pytest.raises(DefenceError, match=next(iter(fault))):
        make_defence("p2p", PARAMETERS | fault)
