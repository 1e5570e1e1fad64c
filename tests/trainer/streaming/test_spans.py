from pathlib import Path
from random import Random

import pytest

from p2p.examples import Example
from p2p.spans import PureSpan, SpanSettings, pure_spans
from trainer.streaming import counting, words
from trainer.streaming.counting import Membership
from trainer.streaming.spans import stored_pure_spans
from trainer.streaming.store import EXAMPLES, RowFile, RowWriter
from trainer.streaming.words import WordFile, WordWriter, ngram_hashes, word_hashes


def spans_on_disk(rows: list[Example], settings: SpanSettings, folder: Path) -> list[PureSpan]:
    with RowWriter(folder / "rows", EXAMPLES) as store, WordWriter(folder) as hashes:
        for row in rows:
            store.add(row)
            hashes.add(row)
    return stored_pure_spans(RowFile(folder / "rows", EXAMPLES), WordFile(folder), settings, folder)


def draw_rows(seed: int, answers: int) -> list[Example]:
    rng = Random(seed)
    vocabulary = ["a", "A", "b", "ß", "ΣΑΣ", "d", "é", "x.", "İ"]
    texts = [" ".join(rng.choices(vocabulary, k=rng.randrange(12))) for _ in range(300)]
    # The answer leans on the first word, so that some spans are pure.
    return [
        Example(str(at), f"{text} \n", str(len(text.split(" ")[0]) % answers if at % 9 else at % answers))
        for at, text in enumerate(texts)
    ]


@pytest.mark.parametrize("answers", [1, 2, 5])
@pytest.mark.parametrize("purity", [0.51, 0.8, 1.0])
def test_the_spans_are_those_found_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: int, purity: float
):
    monkeypatch.setattr(words, "_CHUNK_ROWS", 70)
    monkeypatch.setattr(counting, "_PARTITION_BYTES", 2**12)
    settings = SpanSettings(longest=4, min_rows=5, purity=purity)
    rows = draw_rows(answers, answers)
    assert spans_on_disk(rows, settings, tmp_path) == pure_spans(rows, settings)


def test_a_span_counts_once_a_row_and_is_written_as_its_first_row_has_it(tmp_path: Path):
    rows = [Example(str(at), "Mn mN", "yes") for at in range(3)]
    found = spans_on_disk(rows, SpanSettings(longest=2, min_rows=3), tmp_path)
    assert found == [("Mn mN", 3, "yes"), ("mN", 3, "yes")]


def test_words_apart_by_a_row_are_no_span(tmp_path: Path):
    rows = [Example(str(at), "one" if at % 2 else "two", "yes") for at in range(40)]
    found = spans_on_disk(rows, SpanSettings(longest=2, min_rows=2), tmp_path)
    assert found == [("one", 20, "yes"), ("two", 20, "yes")]


def test_an_ngram_is_its_words_in_their_order():
    there, back = (ngram_hashes(word_hashes(text), 2).tolist() for text in ("a B a", "b a b"))
    assert there == back[::-1]
    assert there[0] != there[1]
    assert ngram_hashes(word_hashes("a"), 2).size == 0


def test_a_member_is_never_denied():
    members, others = word_hashes("a b c d"), word_hashes("e f g h")
    table = Membership()
    table.add(members)
    assert table.holds(members).all()
    assert not table.holds(others).any()
