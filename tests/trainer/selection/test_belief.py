"""What a classifier believes of rows that it has not seen."""

import numpy as np

from tests.trainer.selection.synthetic import embed_labels
from trainer.selection.belief import Belief

TRUE = np.arange(100) % 2
POINTS = embed_labels(TRUE, 2, "belief")
ALL = np.arange(100)


def test_right_labels_are_believed_and_wrong_ones_are_not():
    given = TRUE.copy()
    given[:10] = 1 - given[:10]
    own = Belief(POINTS, given, seed=0).out_of_fold(ALL)
    assert (own[:10] < 0.5).all()
    assert (own[10:] > 0.5).mean() > 0.95
    assert ((own >= 0) & (own <= 1)).all()


def test_a_row_s_own_label_has_no_say_in_its_belief():
    flipped = TRUE.copy()
    flipped[3] = 1 - flipped[3]
    first, second = (Belief(POINTS, given, 0).without(ALL[10:], ALL[3:4])[0] for given in (TRUE, flipped))
    assert np.isclose(first + second, 1)


def test_a_label_that_was_never_seen_is_not_believed():
    belief = Belief(POINTS, np.where(ALL < 10, 2, TRUE), seed=0)
    assert (belief.without(ALL[10:], ALL[:10]) == 0).all()


def test_one_label_alone_needs_no_fitting():
    belief = Belief(POINTS, TRUE, seed=0)
    assert belief.without(ALL[TRUE == 1], ALL[:4]).tolist() == [0, 1, 0, 1]


def test_rows_known_to_be_right_are_fitted_on():
    known = (POINTS[:20], TRUE[:20])
    belief = Belief(POINTS[20:], 1 - TRUE[20:], 0, known)
    fitted_on_few = np.arange(4)
    assert (belief.without(fitted_on_few, np.arange(4, 80)) < 0.5).mean() > 0.95


def test_the_seed_decides_the_folds():
    first, same, other = (Belief(POINTS, TRUE, seed).out_of_fold(ALL) for seed in (0, 0, 1))
    assert (first == same).all()
    assert (first != other).any()
