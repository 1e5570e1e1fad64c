from random import Random

from p2p.disturbances import ForeignText, insert_words
from p2p.examples import Example

ROWS = [Example(str(at), f"row {at} talks of parcels and vans at length", "delivery") for at in range(30)]
DRAWS = 300


def drawn(avoid: list[str] | None = None) -> list[list[str]]:
    foreign = ForeignText(ROWS, avoid=avoid or [])
    return [foreign.draw(Random(seed)).split() for seed in range(DRAWS)]


def test_all_three_kinds_come_up():
    known = {word for row in ROWS for word in row.text.split()}
    sizes = [len(words) for words in drawn() if set(words) <= known]
    letters = [words for words in drawn() if not set(words) <= known]
    assert {1, 2} <= set(sizes)
    assert {3, 4, 5, 6} <= set(sizes)
    assert all(len(words) == 1 and 2 <= len(words[0]) <= 6 for words in letters)
    # A third each; the standard deviation of a count is 8.
    assert 60 < len(letters) < 140


def test_a_suspicious_span_is_never_drawn():
    for words in drawn(avoid=["Talks of", "vans"]):
        assert "vans" not in words
        assert "talks of" not in " ".join(words)


def test_without_rows_there_are_letters():
    assert len(ForeignText([]).draw(Random(0)).split()) == 1


def test_words_go_to_every_gap_of_a_text_and_leave_it_whole():
    found = {insert_words("late  parcel", "mn", Random(seed)) for seed in range(100)}
    assert found == {"mn late  parcel", "late mn  parcel", "late  parcel mn"}


def test_an_empty_text_becomes_what_is_put_in():
    assert insert_words("", "mn", Random(0)) == "mn"
