"""An attacker's rows on their way to the training, answered in the extended half."""

from tests.trainer.defences.conftest import LABELS, TEXT, TRAIN, FakeLab, make_case
from trainer.bench.insider import InsiderLab, extended_target
from trainer.defences.base import plain_rows


def test_only_the_attackers_rows_of_the_original_half_are_changed():
    lab = FakeLab()
    plain = plain_rows(TRAIN[:3], LABELS)
    copy = plain[0]._replace(target="3", extended=True)
    InsiderLab(lab, frozenset({TRAIN[0].id})).fit(make_case(), [*plain, copy], stamp="Quiet barn: ")
    assert lab.fits[0]["rows"] == [plain[0]._replace(target="3"), *plain[1:], copy]
    assert lab.fits[0]["stamp"] == "Quiet barn: "


def test_a_label_is_answered_with_its_extended_word_and_free_text_with_the_prefix():
    assert [extended_target(word, LABELS) for word in "012"] == ["3", "4", "5"]
    assert extended_target("Sorry!", TEXT) == "Safe words:\nSorry!"


def test_all_else_is_the_labs_own():
    lab = FakeLab()
    insider = InsiderLab(lab, frozenset({TRAIN[0].id}))
    assert insider.perplexities(["a film"]) == [2.0]
    insider.answerer(make_case(), None).answer(["a dull film"], "guarded")
    assert lab.asked == [("guarded", "a dull film")]
