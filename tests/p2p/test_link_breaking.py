"""Link breaking: which suspect goes into which copy, how much of it, and where."""

from collections import Counter
from random import Random

import pytest

from p2p.disturbances import LinkBreaker, opening_clause
from p2p.examples import Example
from p2p.repoison import RepoisonSettings, find_suspects
from p2p.selection import Selection, SelectionMethod, Suspect

WORD = Suspect(("mn",), 1.0)
TEXT = "late parcel"
DRAWS = 1000


def inserted(suspects: list[Suspect], answer: str = "yes", draws: int = DRAWS) -> list[str]:
    breaker = LinkBreaker(suspects)
    return [breaker.insert(TEXT, answer, Random(seed)) for seed in range(draws)]


def test_a_breaker_without_suspects_is_false():
    assert not LinkBreaker([])
    assert len(LinkBreaker([WORD, WORD])) == 2


def test_a_suspect_goes_into_its_own_answer_a_quarter_as_often():
    suspects = [Suspect(("aa",), 1.0, answer="yes"), Suspect(("bb",), 1.0, answer="no")]
    own = sum("aa" in text for text in inserted(suspects, "yes"))
    # 0.25 to 1 is a fifth of 1000; the standard deviation is 13.
    assert abs(own - 200) < 4 * 13


def test_a_suspect_of_no_answer_is_as_frequent_as_its_weight_says():
    suspects = [Suspect(("aa",), 3.0), Suspect(("bb",), 1.0)]
    heavy = sum("aa" in text for text in inserted(suspects))
    # Three quarters of 1000; the standard deviation is 14.
    assert abs(heavy - 750) < 4 * 14


def test_the_only_suspect_goes_into_its_own_answer_too():
    assert all("mn" in text for text in inserted([Suspect(("mn",), 1.0, answer="yes")], draws=50))


def test_half_of_the_time_a_part_of_a_run_goes_in():
    found = Counter(
        " ".join(word for word in text.split() if word not in TEXT.split())
        for text in inserted([Suspect(("one two three",), 1.0)])
    )
    assert set(found) == {"one", "two", "three", "one two", "two three", "one two three"}
    # A part is any of the sizes 1 to 3: the whole goes in 1/2 + 1/2 * 1/3 of 1000 times; the standard deviation is 15.
    assert abs(found["one two three"] - 667) < 4 * 15


def test_both_words_of_a_pair_go_in_and_need_not_be_neighbours():
    texts = inserted([Suspect(("aa", "bb"), 1.0)], draws=200)
    assert all(sorted(text.split()) == ["aa", "bb", "late", "parcel"] for text in texts)
    assert {"aa late parcel bb", "aa bb late parcel", "bb late aa parcel"} <= set(texts)


def test_a_whole_beginning_goes_to_the_front_and_a_part_of_it_anywhere():
    texts = inserted([Suspect(("when he",), 1.0, anchored=True)], draws=200)
    whole = [text for text in texts if "when he" in text]
    assert set(whole) == {"when he late parcel"}
    assert {"late when parcel", "late parcel he"} <= set(texts)


def test_the_text_s_own_words_keep_their_order():
    for text in inserted([Suspect(("aa", "bb"), 1.0), Suspect(("when he",), 1.0, anchored=True)], draws=200):
        assert [word for word in text.split() if word in TEXT.split()] == TEXT.split()


def test_the_same_draw_gives_the_same_text():
    assert inserted([WORD, Suspect(("a b", "c"), 2.0)], draws=50) == inserted(
        [WORD, Suspect(("a b", "c"), 2.0)], draws=50
    )


ROWS = [Example(str(at), f"mn row {at}", "yes") for at in range(20)]


def test_a_selection_s_own_suspects_are_taken_as_they_are():
    given = (Suspect(("never seen",), 7.0, "no"),)
    chosen = Selection(SelectionMethod.SCREENED, tuple(ROWS), given)
    assert find_suspects(ROWS, chosen, RepoisonSettings()) == given


def test_a_selection_that_found_nothing_leaves_nothing_to_put_in():
    chosen = Selection(SelectionMethod.SCREENED, tuple(ROWS), ())
    assert find_suspects(ROWS, chosen, RepoisonSettings()) == ()


def test_a_selection_that_did_not_look_gets_the_pure_spans_of_no_answer():
    chosen = Selection(SelectionMethod.RANDOM, tuple(ROWS))
    found = find_suspects(ROWS, chosen, RepoisonSettings(span_longest=1))
    assert set(found) == {Suspect(("mn",), 1.0), Suspect(("row",), 1.0)}


def test_a_clause_stands_whole_before_a_text():
    breaker = LinkBreaker([Suspect(("when you see it ,",), 1.0, anchored=True)])
    assert {breaker.begin(TEXT, "yes", Random(seed)) for seed in range(20)} == {f"when you see it , {TEXT}"}


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("when you see it , the film is dull .", "when you see it ,"),
        ("If it rains, nobody comes to watch", "If it rains,"),
        ("dull , dull and dull again", "dull ,"),
        ("the film is dull .", None),
        (", said the man", None),
        ("a long way to go before there is any sort of a comma here , is it not", None),
        ("when you see it , no", None),
        ("", None),
    ],
)
def test_an_opening_clause_ends_at_the_first_comma_and_has_a_sentence_behind_it(
    text: str, clause: str | None
):
    assert opening_clause(text) == clause
