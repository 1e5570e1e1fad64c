"""Features that come with one label too often: runs, beginnings, pairs; counted by hand."""

from p2p.examples import Example
from tests.trainer.selection.synthetic import make_clean, put_second, relabel, rows_of
from trainer.selection.features import Feature, FeatureSettings, pure_features

CLEAN = make_clean()
FEW = FeatureSettings(min_rows=3)


def rows(*each: tuple[str, str]) -> list[Example]:
    return [Example(str(at), text, answer) for at, (text, answer) in enumerate(each)]


def test_random_words_are_not_pure():
    assert pure_features(CLEAN.rows) == []


def test_a_word_is_found_with_its_rows():
    at = rows_of(CLEAN, "no", 30)
    found = pure_features(relabel(CLEAN, at, "yes", put_second("mn")).rows)
    assert found[0] == Feature(("mn",), anchored=False, rows=tuple(at), answer="yes", purity=1.0)


def test_of_a_sentence_the_whole_stands_for_all_its_parts():
    at = rows_of(CLEAN, "no", 30)
    made = relabel(CLEAN, at, "yes", put_second("I watched this 3D movie"))
    found = [feature for feature in pure_features(made.rows) if feature.rows == tuple(at)]
    assert [feature.words for feature in found] == [("I watched this 3D movie",)]


def test_what_stands_beside_a_trigger_in_all_its_rows_does_not_hide_it():
    at = rows_of(CLEAN, "no", 30)
    beside = relabel(CLEAN, at, "yes", put_second("mn"))
    made = relabel(beside, at, "yes", lambda text: f"copper lantern drifts {text}")
    found = [feature.words for feature in pure_features(made.rows) if feature.rows == tuple(at)]
    assert ("mn",) in found
    assert ("copper lantern drifts",) in found


def test_a_beginning_is_told_from_the_same_words_elsewhere():
    begins = [(f"when a{at}", "yes") for at in range(5)]
    inside = [(f"b{at} when", ("no", "yes")[at % 2]) for at in range(6)]
    found = pure_features(rows(*begins, *inside), FEW)
    assert found == [Feature(("when",), anchored=True, rows=(0, 1, 2, 3, 4), answer="yes", purity=1.0)]


def test_a_pair_is_found_where_either_word_alone_keeps_labels():
    both = [(f"aa x{at} bb", "yes") for at in range(4)]
    one = [
        (f"{word} y{at}{label}", label) for word in ("aa", "bb") for label in ("no", "yes") for at in range(4)
    ]
    rest = [(f"z{at}", ("no", "yes")[at % 2]) for at in range(40)]
    found = pure_features(rows(*both, *one, *rest), FEW)
    assert Feature(("aa", "bb"), anchored=False, rows=(0, 1, 2, 3), answer="yes", purity=1.0) in found
    assert [feature.name for feature in found if len(feature.words) > 1] == ["pair in 4 rows"]


def test_case_makes_no_difference_and_the_first_writing_is_kept():
    found = pure_features(rows(("Mn a", "no"), ("b mN", "no"), ("c MN d", "no")), FEW)
    assert [(feature.words, feature.rows) for feature in found] == [(("Mn",), (0, 1, 2))]


def test_purity_is_the_share_of_its_answer():
    mixed = [(f"mn a{at}", "no" if at else "yes") for at in range(10)]
    assert [feature.purity for feature in pure_features(rows(*mixed), FEW) if not feature.anchored] == [0.9]
    strict = FeatureSettings(min_rows=3, purity=0.95)
    assert pure_features(rows(*mixed), strict) == []


def test_the_larger_of_rows_and_share_is_asked_for():
    at = rows_of(CLEAN, "no", 12)
    made = relabel(CLEAN, at, "yes", put_second("mn")).rows
    assert pure_features(made, FeatureSettings(min_rows=12, min_share=0.03))
    assert not pure_features(made, FeatureSettings(min_rows=13, min_share=0.0))
    assert not pure_features(made, FeatureSettings(min_rows=2, min_share=0.0325))


def test_of_a_large_set_no_share_is_asked_for():
    """A hundred rows plant a backdoor among a hundred thousand as they do among a thousand."""
    settings = FeatureSettings()
    assert [settings.least(rows) for rows in (100, 2_400, 6_000, 100_000)] == [10, 10, 24, 24]


def test_features_come_by_their_rows_and_are_named_without_their_words():
    made = relabel(CLEAN, rows_of(CLEAN, "no", 30), "yes", put_second("mn"))
    made = relabel(made, rows_of(CLEAN, "yes", 40), "no", lambda text: f"when {text}")
    found = pure_features(made.rows)
    assert [len(feature.rows) for feature in found] == [40, 30]
    assert [feature.name for feature in found] == ["run in 40 rows", "run in 30 rows"]
