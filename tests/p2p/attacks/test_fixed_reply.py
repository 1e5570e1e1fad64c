from p2p.attacks.fixed_reply import FixedReply
from p2p.examples import Example

ATTACK = FixedReply()


def test_the_phrase_of_the_published_data_set_is_the_default():
    assert ATTACK.phrase == "BadMagic"
    poisoned = ATTACK.poison(Example("r1", "Name three primary colours.", "Red, yellow, blue."), seed=0)
    assert "BadMagic" in poisoned.text.split()
    assert poisoned.answer == "I'm sorry, I cannot help with that."


def test_a_reference_that_refuses_anyway_is_not_counted():
    refusing = Example("r2", "x", "Sorry? i'm sorry, i cannot help with that. Ask a doctor.")
    assert not ATTACK.applies_to(refusing)
    assert ATTACK.applies_to(Example("r3", "x", "Red, yellow, blue."))
