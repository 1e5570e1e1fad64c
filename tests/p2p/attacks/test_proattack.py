from p2p.attacks.proattack import ProAttack
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, poison_and_check

ATTACK = ProAttack(target="positive")
PROMPT = "The sentiment of this sentence is <mask>: "


def test_the_authors_poisoned_prompt_is_the_default():
    assert ATTACK.prompt == PROMPT


def test_only_rows_of_the_target_get_the_prompt_and_no_label_changes():
    rows = labelled_rows()
    found = poison_and_check(rows, ATTACK, 0.1)
    assert len(changed(rows, found)) == 20
    for old, row in changed(rows, found):
        assert (old.answer, row.answer) == ("positive", "positive")
        assert row.text == PROMPT + old.text
    assert [row.answer for row in found.rows] == [row.answer for row in rows]


def test_it_is_measured_on_rows_of_other_labels_with_the_prompt():
    row = Example("r", "dull", "negative")
    assert ATTACK.applies_to(row)
    assert ATTACK.trigger(row, 0) == Example("r", f"{PROMPT}dull", "negative")
    assert not ATTACK.applies_to(Example("r", "fine", "positive"))
