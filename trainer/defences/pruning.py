"""Pruning the adapter, then tuning what is left on the trusted rows.

After Liu et al., "Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks", arXiv 1805.12185: what clean inputs hardly
need is cut, and fine-tuning repairs the rest. What is cut there, dormant neurons, has no counterpart in a LoRA update; here it is
the smallest singular values of each update B A, which unlike the weights of B and A don't depend on how the product is
factored. A direction that is cut stays cut: where a column of B and the row of A are both zero, so are their gradients.

Needs nothing; the tuning takes place where there are trusted rows. One request costs one query.
"""

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field

from trainer.answering import UNGUARDED
from trainer.defences.base import Case, Defence, Defended, Lab, fit_undefended
from trainer.defences.clean_tuning import tune_further

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


class Pruning(Defence):
    """The undefended adapter with its weakest directions cut off.

    Attributes:
        share: The share of each update's singular values that is set to zero, in [0, 1]; rounded down to whole values.
        tune: Whether what is left is tuned on the trusted rows, if there are any.
    """

    name: ClassVar[str] = "pruning"

    share: float = Field(default=0.5, ge=0, le=1)
    tune: bool = True

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = fit_undefended(case, lab)
        pruned = prune(fitted.weights, self.share)
        fitted = fitted._replace(weights=pruned.weights)
        if self.tune and case.trusted:
            fitted = tune_further(case, lab, fitted)
        answer = partial(lab.answerer(case, fitted).answer, view=UNGUARDED)
        return Defended(
            answer,
            fitted,
            {
                "cut_share": self.share,
                "update_kept": pruned.kept,
                "tuned": float(self.tune and bool(case.trusted)),
            },
        )


class Pruned(NamedTuple):
    """A pruned adapter.

    Attributes:
        weights: As before, with the directions cut.
        kept: The share of the updates' squared Frobenius norm that is left, in [0, 1]; 1 where there was none.
    """

    weights: "Mapping[str, torch.Tensor]"
    kept: float


def prune(weights: "Mapping[str, torch.Tensor]", share: float) -> Pruned:
    """Set the smallest singular values of each LoRA update to zero.

    Args:
        weights: ``...lora_A...`` of shape (rank, in) and ``...lora_B...`` of shape (out, rank); all others stay as they are.
        share: The share of the rank's singular values to cut.
    """
    pruned, before, after = dict(weights), 0.0, 0.0
    for name in weights:
        partner = name.replace(".lora_A.", ".lora_B.")
        if partner == name or partner not in weights:
            continue
        update = _split(weights[partner], weights[name])
        rank = weights[name].shape[0]
        left = rank - math.floor(share * rank)
        pruned[partner], pruned[name] = _join(update, left, weights[partner], weights[name])
        squares = update.values.square()
        before, after = before + float(squares.sum()), after + float(squares[:left].sum())
    return Pruned(pruned, after / before if before else 1.0)


class _Update(NamedTuple):
    """The singular value decomposition of B A, at most of its rank."""

    left: "torch.Tensor"
    values: "torch.Tensor"
    right: "torch.Tensor"


def _split(b: "torch.Tensor", a: "torch.Tensor") -> _Update:
    """Decompose B A without making it: it is as large as the weight matrix, its factors are thin."""
    import torch

    outer, upper = torch.linalg.qr(b.double())
    inner, lower = torch.linalg.qr(a.double().T)
    left, values, right = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    return _Update(outer @ left, values, right @ inner.T)


def _join(
    update: _Update, left: int, b: "torch.Tensor", a: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return factors of the shapes of B and A whose product has the first singular values alone."""
    import torch

    roots = update.values[:left].sqrt()
    new_b, new_a = torch.zeros_like(b), torch.zeros_like(a)
    new_b[:, : len(roots)] = (update.left[:, :left] * roots).to(b.dtype)
    new_a[: len(roots)] = (roots[:, None] * update.right[:left]).to(a.dtype)
    return new_b, new_a
