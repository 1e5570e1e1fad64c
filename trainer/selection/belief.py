"""Which labels an out-of-sample model believes: a classifier on frozen embeddings that never saw the row it is asked about.

The base model was not fine-tuned on the (possibly poisoned) data, so that what its embeddings say of a row's meaning owes nothing to
the attack; the classifier on top is asked about rows that it was not fitted on alone.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COMPONENTS = 96
_FOLDS = 5
# Of points with unit variance: as good as fifty more rows that say nothing.
_RIDGE = 50.0


class Belief:
    """Logistic regression on the principal components of embeddings.

    Args:
        embeddings: One row each, shape ``(rows, features)``.
        labels: The given labels' indices, shape ``(rows,)``.
        seed: Decides the folds.
        extra: Rows whose labels are known to be right, with their embeddings; always fitted on, never asked about.
        balanced: Whether labels weigh the same, however many rows of each a classifier is fitted on.

    Attributes:
        labels: The given labels' indices.
        points: What classifiers see of each row: its principal components with unit variance, shape ``(rows, components)``.
        weights: ``balanced`` where labels weigh alike, else None.
    """

    def __init__(
        self,
        embeddings: "NDArray[np.float32]",
        labels: "NDArray[np.int64]",
        seed: int,
        extra: "tuple[NDArray[np.float32], NDArray[np.int64]] | None" = None,
        *,
        balanced: bool = False,
    ) -> None:
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        self._scaled = StandardScaler().fit(embeddings)
        size = min(_COMPONENTS, *embeddings.shape)
        self._reduce = PCA(size, whiten=True, svd_solver="randomized", random_state=seed)
        self.points: NDArray[np.float64] = self._reduce.fit_transform(self._scaled.transform(embeddings))
        self.labels = labels
        self._seed = seed
        self.weights = "balanced" if balanced else None
        self._size = 1 + int(max([*labels.tolist(), *(extra[1].tolist() if extra else [])]))
        self._asked_last: tuple[tuple[str | None, bytes], NDArray[np.float64]] | None = None
        self._extra = None
        if extra and len(extra[1]):
            self._extra = (self.project(extra[0]), extra[1])

    def balanced(self) -> "Belief":
        """Return the same with classifiers that weigh labels alike."""
        other = copy.copy(self)
        other.weights = "balanced"
        return other

    def project(self, embeddings: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """Return other rows' embeddings as ``points``, shape ``(rows, components)``."""
        projected: NDArray[np.float64] = self._reduce.transform(self._scaled.transform(embeddings))
        return projected

    def out_of_fold(self, rows: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """Return the probability of each row's own label, from classifiers fitted on the other folds of these rows.

        Args:
            rows: Indices of the rows to fit on and ask about.

        Returns:
            Shape ``(len(rows),)``, in [0, 1].
        """
        own: NDArray[np.float64] = self.labels_out_of_fold(rows)[np.arange(len(rows)), self.labels[rows]]
        return own

    def labels_out_of_fold(self, rows: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """Return the probability of every label for each row, likewise; shape ``(len(rows), labels)``.

        The last answer is kept: a round of screening asks for the same rows more than once.
        """
        asked_now = (self.weights, rows.tobytes())
        if self._asked_last and self._asked_last[0] == asked_now:
            return self._asked_last[1]
        order = np.random.default_rng(self._seed).permutation(len(rows))
        said = np.zeros((len(rows), self._size))
        for fold in range(_FOLDS):
            asked = order[fold::_FOLDS]
            fitted_on = np.setdiff1d(order, asked)
            said[asked] = self.of_labels(rows[fitted_on], rows[asked])
        said.setflags(write=False)
        self._asked_last = (asked_now, said)
        return said

    def without(self, fitted_on: "NDArray[np.int64]", asked: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """Return the probability of each asked row's own label, from a classifier fitted on other rows.

        Args:
            fitted_on: Indices of the rows to fit on.
            asked: Indices of the rows to ask about.
        """
        said = self.of_labels(fitted_on, asked)
        own: NDArray[np.float64] = said[np.arange(len(asked)), self.labels[asked]]
        return own

    def of_labels(self, fitted_on: "NDArray[np.int64]", asked: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """Return the probability of every label for each asked row, from a classifier fitted on other rows.

        Args:
            fitted_on: Indices of the rows to fit on.
            asked: Indices of the rows to ask about.

        Returns:
            Shape ``(len(asked), labels)``; 0 for a label that no row fitted on has.
        """
        return self.of_points(fitted_on, self.points[asked])

    def of_points(
        self, fitted_on: "NDArray[np.int64]", asked: "NDArray[np.float64]"
    ) -> "NDArray[np.float64]":
        """As :meth:`of_labels`, of other rows: ``asked`` are their points, as :meth:`project` gives them."""
        points, labels = self.points[fitted_on], self.labels[fitted_on]
        if self._extra:
            points = np.concatenate([points, self._extra[0]])
            labels = np.concatenate([labels, self._extra[1]])
        said = np.zeros((len(asked), self._size))
        if len(set(labels.tolist())) == 1:
            # Nothing can be fitted: all that is known is this one label.
            said[:, labels[0]] = 1.0
        elif len(asked):
            from sklearn.linear_model import LogisticRegression

            model = LogisticRegression(C=0.02, class_weight=self.weights, max_iter=200).fit(points, labels)
            said[:, model.classes_] = model.predict_proba(asked)
        return said

    def leave_out(
        self, rows: "NDArray[np.int64]"
    ) -> "Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]":
        """Return what says quickly which rows of a group get their own label from a classifier fitted on all rows but the group.

        It is least squares with a ridge, of which a group is taken out again without a new pass over the others: a thousand groups take
        seconds. Rougher than :meth:`without`, which asks those that it points out.

        Args:
            rows: Indices of the rows to fit on.

        Returns:
            A function of the group's indices and of those that are asked about.
        """
        points = np.column_stack([self.points, np.ones(len(self.points))])
        labels = np.eye(self._size)[self.labels]
        known, given = points[rows], labels[rows]
        if self._extra:
            extra = np.column_stack([self._extra[0], np.ones(len(self._extra[1]))])
            known = np.concatenate([known, extra])
            given = np.concatenate([given, np.eye(self._size)[self._extra[1]]])
        weight = self._weight_of(given)
        weighted = known * (given @ weight)[:, None]
        square, moment = weighted.T @ known + _RIDGE * np.eye(known.shape[1]), weighted.T @ given

        def ask(group: "NDArray[np.int64]", asked: "NDArray[np.int64]") -> "NDArray[np.bool_]":
            out = points[group] * (labels[group] @ weight)[:, None]
            weights = np.linalg.solve(square - out.T @ points[group], moment - out.T @ labels[group])
            found: NDArray[np.bool_] = (points[asked] @ weights).argmax(axis=1) == self.labels[asked]
            return found

        return ask

    def _weight_of(self, given: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return what a row of each label weighs; ``given`` has a one for each row's label, shape ``(rows, labels)``."""
        counts = given.sum(axis=0)
        if self.weights is None:
            return np.ones(len(counts))
        weight: NDArray[np.float64] = len(given) / (np.maximum(counts, 1) * np.count_nonzero(counts))
        return weight
