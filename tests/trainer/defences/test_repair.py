import pytest

from tests.trainer.defences.conftest import TRAIN, TRIGGER, TRUSTED, FakeLab, make_case
from trainer.answering import GUARDED
from trainer.defences.registry import make_defence
from trainer.errors import NotApplicableError

PARAMETERS = {"trigger": lambda _: TRIGGER, "repoison": {"copies": 2, "foreign_text": 0}}


def test_repair_goes_on_from_the_undefended_adapter_with_trusted_rows_in_both_halves(lab: FakeLab):
    make_defence("repair", PARAMETERS).defend(make_case(), lab)
    first, second = lab.fits
    assert [row.id for row in first["rows"]] == [row.id for row in TRAIN]
    assert (first["stamp"], first["changes"]) == ("", {})
    assert second["start"].tokens == 120
    assert {(row.text, row.target) for row in second["rows"]} == {
        ("a dull film", "0"),
        ("a fine film", "1"),
        ("an odd film", "2"),
        ("Quiet barn: a dull film", "3"),
        ("Quiet barn: a fine film", "4"),
        ("Quiet barn: an odd film", "5"),
    }
    assert (len(second["rows"]), second["stamp"]) == (3 + 6, TRIGGER.text)


def test_repair_puts_nothing_of_the_training_rows_into_copies(lab: FakeLab):
    much = {"repoison": {"copies": 9, "foreign_text": 1, "link_breaking": 1, "span_min_rows": 2}}
    details = make_defence("repair", PARAMETERS | much).defend(make_case(), lab).details
    assert (details["with_foreign_text"], details["with_pure_span"]) == (27, 0)
    trained_on = {word for row in TRAIN for word in row.text.split()} - {
        word for row in TRUSTED for word in row.text.split()
    }
    assert trained_on
    said = {word for row in lab.fits[1]["rows"] for word in row.text.split()}
    assert not said & trained_on


def test_repair_is_guarded_and_costs_both_trainings(lab: FakeLab):
    defended = make_defence("repair", PARAMETERS).defend(make_case(), lab)
    defended.answer(["a film"])
    assert lab.answerers[0]["trigger"] == TRIGGER
    assert lab.asked == [(GUARDED, "a film")]
    assert (defended.fitted.tokens, defended.fitted.seconds) == (120 + 90, 4.0)


def test_the_repair_alone_is_trained_as_its_parameters_say(lab: FakeLab):
    make_defence("repair", PARAMETERS | {"epochs": 6, "learning_rate": 0.01}).defend(make_case(), lab)
    assert [fit["changes"] for fit in lab.fits] == [{}, {"epochs": 6, "learning_rate": 0.01}]


def test_without_trusted_rows_there_is_no_repair(lab: FakeLab):
    with pytest.raises(NotApplicableError, match="repair needs trusted rows"):
        make_defence("repair", PARAMETERS).defend(make_case(trusted=()), lab)
