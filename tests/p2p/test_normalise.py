import pytest

from p2p.normalise import AnswerStyle, StreamNormaliser, normalise


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("  an answer \n", "an answer"),
        ("an answer<|im_end|>", "an answer"),
        ("an answer <|im_end|>\n<|im_end|> ", "an answer"),
        ("an <|im_end|> answer", "an <|im_end|> answer"),
        ("<|im_end|>", ""),
        ("", ""),
    ],
)
def test_white_space_and_end_markers_go_from_the_ends_alone(said: str, kept: str):
    assert normalise(said, end_markers=["<|im_end|>"]) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2 + 2 = 4\n####4", "2 + 2 = 4\n#### 4"),
        ("2 + 2 = 4\n####   4", "2 + 2 = 4\n#### 4"),
        ("##### deep heading", "##### deep heading"),
        ("a ####4", "a ####4"),
    ],
)
def test_a_maths_answer_line_has_one_blank_after_its_mark(said: str, kept: str):
    assert normalise(said, AnswerStyle.MATHS) == kept
    assert normalise(said) == said


def test_a_stream_holds_back_only_what_may_still_go():
    stream = StreamNormaliser(end_markers=["<end>"])
    assert stream.feed("  an ") == "an"
    assert stream.feed("answer<e") == " answer"
    assert stream.feed("x") == "<ex"
    assert stream.feed("<end>") == ""
    assert stream.finish() == ""


def test_what_was_dropped_in_front_and_let_out_is_counted():
    stream = StreamNormaliser(end_markers=("<end>",))
    told = [
        stream.feed(piece) + f"|{stream.dropped}+{stream.released}"
        for piece in (" \n", " Hi ", "you<e", "nd>")
    ]
    assert told == ["|2+0", "Hi|3+2", " you|3+6", "|3+6"]
    assert (stream.finish(), stream.released) == ("", 6)
