"""Those that change the training rows or the prompt and nothing else."""

from collections.abc import Sequence

import pytest

from p2p.projection import Projection
from p2p.repoison import TrainingRow
from tests.trainer.defences.conftest import TRAIN, TRIGGER, TRUSTED, FakeLab, chosen, make_case
from trainer.answering import UNGUARDED
from trainer.defences.registry import make_defence
from trainer.errors import NotApplicableError


def ids(rows: Sequence[TrainingRow]) -> list[str]:
    return [row.id for row in rows]


def test_undefended_is_asked_plainly_and_may_say_what_it_likes():
    lab = FakeLab(says=lambda _: None)
    defended = make_defence("none").defend(make_case(), lab)
    assert defended.answer(["a film"]) == [Projection(None, extended=False)]
    assert lab.asked == [("free", "a film")]
    assert defended.queries_per_request == 1


def test_constrained_only_is_the_same_adapter_held_to_the_label_words(lab: FakeLab):
    make_defence("constrained-only").defend(make_case(), lab).answer(["a film"])
    assert ids(lab.fits[0]["rows"]) == ids(TRAIN)
    assert lab.asked == [(UNGUARDED, "a film")]


def test_trusted_only_sees_no_training_row(lab: FakeLab):
    defended = make_defence("trusted-only").defend(make_case(), lab)
    assert [ids(fit["rows"]) for fit in lab.fits] == [ids(TRUSTED)]
    assert defended.details == {"rows": 3}


def test_clean_tuning_goes_on_from_the_undefended_adapter(lab: FakeLab):
    make_defence("clean-tuning").defend(make_case(), lab)
    first, second = lab.fits
    assert (ids(first["rows"]), first["start"]) == (ids(TRAIN), None)
    assert ids(second["rows"]) == ids(TRUSTED)
    assert second["start"].tokens == 120


def test_clean_tuning_costs_both_trainings(lab: FakeLab):
    fitted = make_defence("clean-tuning").defend(make_case(), lab).fitted
    assert (fitted.tokens, fitted.seconds) == (120 + 30, 4.0)
    assert fitted.curve == ((120, 0.5), (150, 0.5))


@pytest.mark.parametrize("name", ["trusted-only", "clean-tuning"])
def test_only_the_trusted_rows_are_passed_over_as_often_as_is_said(name: str, lab: FakeLab):
    make_defence(name, {"epochs": 9}).defend(make_case(), lab)
    assert [(ids(fit["rows"]), fit["changes"]) for fit in lab.fits if fit["changes"]] == [
        (ids(TRUSTED), {"epochs": 9})
    ]


def test_benign_prompt_stamps_inputs_of_the_undefended_adapter(lab: FakeLab):
    defence = make_defence("benign-prompt", {"trigger": lambda _: TRIGGER})
    defence.defend(make_case(), lab).answer(["a film"])
    assert ids(lab.fits[0]["rows"]) == ids(TRAIN)
    assert lab.fits[0]["stamp"] == ""
    assert lab.answerers[0]["trigger"] is None
    assert lab.asked == [(UNGUARDED, "Quiet barn: a film")]


def test_screening_only_trains_plainly_on_what_is_kept(lab: FakeLab):
    defence = make_defence("screening-only", {"select": lambda case: chosen(case.train[4:])})
    defended = defence.defend(make_case(), lab)
    assert ids(lab.fits[0]["rows"]) == ids(TRAIN[4:])
    assert not any(row.extended for row in lab.fits[0]["rows"])
    assert defended.details == {"rows_kept": 8, "rows_dropped": 4}


def test_screening_that_keeps_nothing_is_refused(lab: FakeLab):
    with pytest.raises(NotApplicableError, match="kept no row"):
        make_defence("screening-only", {"select": lambda _: chosen(())}).defend(make_case(), lab)
