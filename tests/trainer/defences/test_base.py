import pytest

from p2p.repoison import TrainingRow
from tests.trainer.defences.conftest import LABELS, TEXT, TRAIN, TRUSTED, FakeLab, chosen, make_case
from trainer.defences.base import fit_undefended, plain_rows, seeded_trigger
from trainer.defences.registry import DEFENCES, make_defence
from trainer.errors import NotApplicableError

NEEDS_TRUSTED = {"trusted-only", "clean-tuning", "repair"}
NEEDS_LABELS = {"strip", "label-shift", "constrained-only"}


def of_trusted(name: str):
    takes_rows = "select" in DEFENCES[name].model_fields
    return make_defence(name, {"select": lambda case: chosen(case.trusted)} if takes_rows else {})


def test_plain_rows_have_the_original_word_and_no_stamp():
    assert plain_rows(TRUSTED[1:2], LABELS) == (TrainingRow("trusted-1", "a fine film", "1", extended=False),)


def test_plain_rows_of_free_text_have_no_prefix():
    assert plain_rows(TRUSTED[:1], TEXT)[0].target == "bad"


def test_the_undefended_adapter_is_trained_on_all_rows_and_nothing_else(lab: FakeLab):
    fit_undefended(make_case(), lab)
    assert [row.id for row in lab.fits[0]["rows"]] == [row.id for row in TRAIN]
    assert lab.fits[0]["stamp"] == ""


def test_the_seeded_trigger_is_the_seeds():
    assert seeded_trigger(make_case()) == seeded_trigger(make_case(trusted=()))
    assert seeded_trigger(make_case()) != seeded_trigger(make_case(seed=8))


@pytest.mark.parametrize("name", DEFENCES)
def test_without_trusted_rows_only_those_fail_that_live_on_them(name: str, lab: FakeLab):
    case = make_case(trusted=())
    if name in NEEDS_TRUSTED:
        with pytest.raises(NotApplicableError, match=f"{name} needs trusted rows"):
            of_trusted(name).defend(case, lab)
        assert not lab.fits
    else:
        of_trusted(name).require_applicable(case)


@pytest.mark.parametrize("name", DEFENCES)
def test_free_text_is_refused_by_those_that_live_on_labels(name: str, lab: FakeLab):
    case = make_case(task=TEXT)
    if name in NEEDS_LABELS:
        with pytest.raises(NotApplicableError, match=f"{name} is for classification"):
            of_trusted(name).defend(case, lab)
        assert not lab.fits
    else:
        assert len(of_trusted(name).defend(case, lab).answer(["a dull film"])) == 1


@pytest.mark.parametrize("name", DEFENCES)
def test_answers_come_in_the_order_of_the_texts(name: str):
    texts = ["a dull film", "a fine film", "an odd film", "a dull day"]
    lab = FakeLab()
    answers = of_trusted(name).defend(make_case(), lab).answer(texts)
    shift = {"bad": "mixed", "good": "bad", "mixed": "good"} if name == "label-shift" else {}
    said = ["bad", "good", "mixed", "bad"]
    assert [reply.answer for reply in answers] == [shift.get(word, word) for word in said]


@pytest.mark.parametrize("name", DEFENCES)
def test_the_same_case_is_defended_in_the_same_way_twice(name: str):
    labs = FakeLab(perplexity=len), FakeLab(perplexity=len)
    texts = ["a dull film", "a fine film of sorts"]
    first, second = (of_trusted(name).defend(make_case(), lab) for lab in labs)
    assert first.answer(texts) == second.answer(texts)
    assert (labs[0].fits, labs[0].asked) == (labs[1].fits, labs[1].asked)
    assert dict(first.details) == dict(second.details)


@pytest.mark.parametrize("name", DEFENCES)
def test_nothing_is_asked_for_no_texts(name: str, lab: FakeLab):
    assert of_trusted(name).defend(make_case(), lab).answer([]) == []


def test_measured_cells_keep_the_triggers_that_they_were_trained_with():
    """Golden: the triggers of the cells under benchmarks/results."""
    drawn = [seeded_trigger(make_case(seed=seed)) for seed in (0, 1, 2)]
    assert [trigger.text for trigger in drawn] == [
        "Clever dish keeps fresh cloud: ",
        "Golden harbor gathers curious book: ",
        "Rare badge grows golden mirror: ",
    ]
    assert {(trigger.placement, trigger.position) for trigger in drawn} == {("last_user", "before")}
