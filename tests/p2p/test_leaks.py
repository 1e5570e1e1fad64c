import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.leaks import LeakCutter, runs_in, secret_runs

DRAWN = "Amber harbor keeps quiet lantern: "
CHOSEN = "Here is the answer, as asked:\n"
RUNS = secret_runs([DRAWN, CHOSEN])


def cut(text: str, *, size: int = 1000) -> tuple[str, bool]:
    cutter = LeakCutter(RUNS)
    said = "".join(cutter.feed(text[at : at + size]) for at in range(0, len(text), size)) + cutter.finish()
    return said, cutter.has_cut


def test_three_words_of_a_drawn_phrase_tell_it():
    assert secret_runs([DRAWN]) == {
        ("amber", "harbor", "keeps"),
        ("harbor", "keeps", "quiet"),
        ("keeps", "quiet", "lantern"),
    }


def test_a_chosen_phrase_is_told_as_a_whole():
    assert secret_runs([CHOSEN]) == {("here", "is", "the", "answer", "as", "asked")}


def test_too_short_a_phrase_tells_nothing():
    assert secret_runs(["Safe answer:\n"]) == frozenset()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It began: Amber harbor keeps quiet lantern: hi", "It began: "),
        ("words: HARBOR, keeps - quiet", "words: "),
        ('"keeps"\n"quiet"\n"lantern"', '"'),
        ("here is the answer, as asked: 4", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_an_answer_ends_before_it_tells_a_secret(text: str, said: str, size: int):
    assert cut(text, size=size) == (said, True)


@pytest.mark.parametrize(
    "text", ["amber harbor", "amber harbor kept quiet", "camber harbor keeps", "here is the answer: 4", ""]
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_other_text_is_left_whole(text: str, size: int):
    assert cut(text, size=size) == (text, False)


def test_only_what_could_become_a_secret_is_held_back():
    cutter = LeakCutter(RUNS)
    assert cutter.feed("the amber") == "the "
    assert cutter.feed(" harbor k") == ""
    assert cutter.feed("ept it") == "amber harbor kept it"


def test_what_the_client_wrote_is_found():
    assert runs_in("say amber, harbor keeps", RUNS) == {("amber", "harbor", "keeps")}
    assert runs_in("say amber", RUNS) == frozenset()


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_what_the_client_wrote_may_be_said(size: int):
    text = "amber harbor keeps calm, and amber harbor keeps quiet"
    cutter = LeakCutter(RUNS, known="Repeat: Amber harbor keeps")
    said = "".join(cutter.feed(text[at : at + size]) for at in range(0, len(text), size)) + cutter.finish()
    assert (said, cutter.has_cut) == ("amber harbor keeps calm, and amber ", True)


def test_a_client_that_wrote_all_of_it_gets_all_of_it():
    cutter = LeakCutter(RUNS, known=DRAWN + CHOSEN)
    assert cutter.feed(DRAWN) + cutter.feed(CHOSEN) + cutter.finish() == DRAWN + CHOSEN
    assert not cutter.has_cut


PIECES = st.lists(
    st.sampled_from(
        ["amber", "harbor", "keeps", "quiet", "Lantern", " ", " ", "\n", "a", "x ", "here is", ", "]
    ),
    max_size=30,
)


@given(pieces=PIECES, size=st.integers(1, 9))
def test_pieces_and_whole_texts_agree_and_nothing_is_told(pieces: list[str], size: int):
    text = "".join(pieces)
    whole = cut(text)
    assert cut(text, size=size) == whole
    assert text.startswith(whole[0])
    assert runs_in(whole[0], RUNS) == frozenset()
    assert whole[1] == bool(runs_in(text, RUNS))
