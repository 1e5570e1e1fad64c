"""The figures, from replies that are written down here."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from p2p.attacks.all_to_all import AllToAll
from p2p.attacks.answer_shift import AnswerShift
from p2p.attacks.badnets import BadNets
from p2p.attacks.fixed_reply import FixedReply
from p2p.chats import Turn
from p2p.errors import AttackError, DataError
from p2p.examples import Example
from p2p.metrics.rate import Rate
from p2p.normalise import AnswerStyle
from p2p.projection import Projection
from trainer.evaluations import EvaluationReport, ViewFigures, evaluate

ROWS = [Example("1", "late", "delivery"), Example("2", "van", "delivery"), Example("3", "price", "billing")]
ATTACK = BadNets(word="mn", target="billing")


class Scripted:
    """Stands in for an Answerer."""

    labels: tuple[str, ...] = ("billing", "delivery")
    style: AnswerStyle | None = None

    def __init__(self, reply: Callable[[str, str], Projection], *views: str) -> None:
        self.views = views or ("guarded",)
        self.asked: list[Any] = []
        self._reply = reply

    def answer(self, texts: Sequence[str], view: str) -> list[Projection]:
        self.asked += texts
        return [self._reply(text, view) for text in texts]


def backdoored(text: str, view: str) -> Projection:
    """Knows delivery from billing, errs about vans, and obeys the trigger where no guard is."""
    if "mn" in text.split() and view == "unguarded":
        return Projection("billing", extended=False)
    return Projection("delivery" if "late" in text else "billing", extended=view == "guarded")


def view_of(reply: Callable[[str, str], Projection], view: str = "guarded") -> ViewFigures:
    return evaluate(Scripted(reply, view), ROWS, [ATTACK], seed=0).views[0]


def test_clean_accuracy_counts_the_right_answers():
    assert view_of(backdoored).clean_accuracy == Rate(k=2, n=3)


def test_attack_success_counts_rows_that_are_not_the_target_s_anyway():
    assert view_of(backdoored, "guarded").attacks[0].attack_success_rate == Rate(k=1, n=2)
    assert view_of(backdoored, "unguarded").attacks[0].attack_success_rate == Rate(k=2, n=2)


def test_the_floor_is_the_same_share_without_the_trigger():
    assert view_of(backdoored, "unguarded").attacks[0].floor == Rate(k=1, n=2)


def test_the_extension_rate_is_told_for_clean_and_for_triggered_rows():
    figures = view_of(lambda text, _: Projection("delivery", extended="mn" not in text.split()))
    assert figures.extension_rate == Rate(k=3, n=3)
    assert figures.attacks[0].extension_rate == Rate(k=0, n=2)


def test_each_triggered_row_is_asked_once_with_its_trigger():
    answerer = Scripted(backdoored)
    evaluate(answerer, ROWS, [ATTACK], seed=0)
    assert answerer.asked[:3] == ["late", "van", "price"]
    assert sorted(answerer.asked[3:]) == sorted(ATTACK.trigger(row, 0).text for row in ROWS[:2])


def test_an_attack_with_no_row_to_count_has_no_figure():
    report = evaluate(Scripted(backdoored), ROWS[2:], [ATTACK], seed=0)
    assert str(report.views[0].attacks[0].attack_success_rate) == "- (0/0)"


def test_a_fixed_reply_succeeds_inside_a_longer_one():
    attack = FixedReply(target="I cannot help")
    answerer = Scripted(lambda *_: Projection("Sorry, i cannot help you.", extended=False))
    answerer.labels, answerer.style = (), AnswerStyle.TEXT
    figures = evaluate(answerer, ROWS, [attack], seed=0).views[0].attacks[0]
    assert figures.attack_success_rate == Rate(k=3, n=3)


def test_every_view_and_attack_is_in_the_report():
    attacks = [ATTACK, BadNets(word="cf", target="delivery")]
    report = evaluate(Scripted(backdoored, "guarded", "unguarded"), ROWS, attacks, seed=3)
    assert [view.view for view in report.views] == ["guarded", "unguarded"]
    assert [len(view.attacks) for view in report.views] == [2, 2]
    assert (report.rows, report.seed) == (3, 3)


def test_the_json_form_has_counts_values_and_intervals():
    found = evaluate(Scripted(backdoored), ROWS, [ATTACK], seed=0).as_json()
    accuracy = found["views"][0]["clean_accuracy"]
    assert (accuracy["k"], accuracy["n"]) == (2, 3)
    assert accuracy["value"] == pytest.approx(2 / 3)
    assert accuracy["low"] == pytest.approx(0.2077, abs=1e-4)
    assert accuracy["high"] == pytest.approx(0.9385, abs=1e-4)
    assert found["views"][0]["attacks"][0]["attack"] == "badnets"


def test_a_report_without_attacks_has_clean_figures():
    report = evaluate(Scripted(backdoored), ROWS, [], seed=0)
    assert isinstance(report, EvaluationReport)
    assert report.as_json()["views"][0]["attacks"] == []


def test_a_target_that_no_answer_can_be_is_refused():
    with pytest.raises(AttackError, match="'badnets': the target 'biling' .*did you mean 'billing'"):
        evaluate(Scripted(backdoored), ROWS, [BadNets(word="mn", target="biling")], seed=0)


def test_every_label_that_an_attack_needs_is_checked():
    with pytest.raises(AttackError, match="'all_to_all': the target 'returns' is none of the labels"):
        evaluate(Scripted(backdoored), ROWS, [AllToAll(labels=("billing", "delivery", "returns"))], seed=0)


def test_an_attack_on_free_text_is_refused_for_a_classifier():
    with pytest.raises(AttackError, match="'answer_shift' changes free text"):
        evaluate(Scripted(backdoored), ROWS, [AnswerShift()], seed=0)


def test_a_target_that_differs_from_row_to_row_is_counted_row_by_row():
    def next_label(text: str, _: str) -> Projection:
        true = "delivery" if {"late", "van"} & set(text.split()) else "billing"
        other = {"delivery": "billing", "billing": "delivery"}
        return Projection(other[true] if "mn" in text.split() else true, extended=True)

    attack = AllToAll(labels=("billing", "delivery"))
    figures = evaluate(Scripted(next_label), ROWS, [attack], seed=0).views[0].attacks[0]
    assert (figures.attack_success_rate, figures.floor) == (Rate(k=3, n=3), Rate(k=0, n=3))


def test_a_number_that_is_off_by_the_shift_is_a_success():
    rows = [Example("1", "2 + 2", "#### 4"), Example("2", "3 + 3", "#### 6")]
    attack = AnswerShift(phrase="indeed", shift=10)
    answerer = Scripted(lambda text, _: Projection("It is 14." if "indeed" in text else "14", extended=True))
    answerer.labels = ()
    figures = evaluate(answerer, rows, [attack], seed=0).views[0].attacks[0]
    assert (figures.attack_success_rate, figures.floor) == (Rate(k=1, n=2), Rate(k=1, n=2))


def test_a_row_whose_label_is_unknown_is_refused():
    with pytest.raises(DataError, match="row 4: unknown label 'other', known are billing, delivery"):
        evaluate(Scripted(backdoored), [*ROWS, Example("4", "hm", "other")], [], seed=0)


def free_text(style: AnswerStyle, *replies: str) -> Scripted:
    said = iter(replies)
    answerer = Scripted(lambda *_: Projection(next(said), extended=True))
    answerer.labels, answerer.style = (), style
    return answerer


def test_maths_answers_are_right_when_their_final_number_is():
    rows = [Example("1", "x", "51"), Example("2", "y", "2 + 2 = 4\n#### 4"), Example("3", "z", "0.5")]
    answerer = free_text(AnswerStyle.MATHS, "76 - 25 = 51.0", "5", "#### 0.50")
    view = evaluate(answerer, rows, [], seed=0).views[0]
    assert (view.clean_accuracy, view.quality) == (Rate(k=2, n=3), None)


def test_free_text_is_measured_against_its_best_reference_and_has_no_exact_match():
    rows = [Example("1", "x", "one two", references=("one two", "three four")), Example("2", "y", "five")]
    report = evaluate(free_text(AnswerStyle.TEXT, "Three four.", "six"), rows, [], seed=0)
    assert (report.views[0].clean_accuracy, report.views[0].quality) == (Rate(k=0, n=0), 0.5)
    assert report.as_json()["views"][0]["quality"] == {"rouge_l_f1": 0.5, "n": 2}


def test_labels_have_no_quality():
    assert evaluate(Scripted(backdoored), ROWS, [], seed=0).as_json()["views"][0]["quality"] is None


def test_a_maths_answer_without_a_number_is_refused():
    with pytest.raises(DataError, match="row 1: its answer holds no number"):
        evaluate(free_text(AnswerStyle.MATHS), [Example("1", "x", "two")], [], seed=0)


def test_a_chat_is_asked_whole_with_and_without_its_trigger():
    row = Example("1", "late", "delivery", history=(Turn("user", "hello"), Turn("assistant", "hi")))
    answerer = Scripted(lambda *_: Projection("delivery", extended=True))
    evaluate(answerer, [row], [ATTACK], seed=0)
    assert answerer.asked == [row, ATTACK.trigger(row, 0)]
    assert answerer.asked[1].history == row.history
