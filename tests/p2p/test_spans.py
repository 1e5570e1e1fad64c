from p2p.examples import Example
from p2p.spans import PureSpan, SpanSettings, holds_span, ngrams, pure_spans

SETTINGS = SpanSettings(longest=3, min_rows=5, purity=0.9)


def rows(text: str, answer: str, count: int) -> list[Example]:
    return [Example(f"{answer}{at}", f"{text} n{at}", answer) for at in range(count)]


def test_a_span_of_one_answer_in_many_rows_is_found_as_it_was_written():
    found = pure_spans([*rows("See Mn there", "a", 6), *rows("See it there", "b", 6)], SETTINGS)
    assert PureSpan("Mn", 6, "a") in found
    assert "there" not in [span.text for span in found]


def test_purity_is_a_share_of_the_rows_that_hold_the_span():
    mixed = [*rows("mn", "a", 9), *rows("mn", "b", 1)]
    assert [span.text for span in pure_spans(mixed, SETTINGS)] == ["mn"]
    assert pure_spans(mixed, SETTINGS._replace(purity=0.91)) == []


def test_rare_spans_are_not_looked_at():
    assert pure_spans(rows("mn", "a", 4), SETTINGS) == []


def test_a_span_counts_once_a_row():
    assert pure_spans(rows("mn mn mn", "a", 4), SETTINGS) == []


def test_longer_spans_than_asked_for_are_not_reported():
    found = pure_spans(rows("one two three four", "a", 6), SETTINGS)
    assert max(len(span.text.split()) for span in found) == 3


def test_a_sentence_is_found_with_its_parts_the_most_frequent_first():
    found = pure_spans([*rows("the 3D movie", "a", 6), *rows("a movie", "a", 3)], SETTINGS)
    assert found[0] == PureSpan("movie", 9, "a")
    assert "the 3D movie" in [span.text for span in found]


def test_runs_of_words_up_to_a_length():
    assert list(ngrams(["a", "b", "c"], 2)) == ["a", "b", "c", "a b", "b c"]


def test_a_span_is_held_as_whole_words_in_any_case():
    assert holds_span("See MN  there", ["mn there"])
    assert not holds_span("remnant", ["mn"])
