"""STRIP: an input whose answer stays certain however much of it is replaced is taken for triggered, and refused.

Sources: Gao et al., "STRIP: A Defence Against Trojan Attacks on Deep Neural Networks", arXiv 1902.06531; for text "Design and
Evaluation of a Multi-Domain Trojan Detection Method on Deep Neural Networks", arXiv 1911.10312. N perturbed copies of the input are asked,
in each of which words are replaced by those of another row with the highest TF-IDF; the mean entropy of the label
distributions is H. Inputs with an H below the threshold are refused: the threshold lets at most 5 % of the calibration rows be.

Needs labels, gains from trusted rows (without them, the other rows and the threshold come from the poisoned training set). One request
costs N + 1 queries. Free text has no label distribution: this defence does not apply to it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar

from pydantic import Field

from p2p.projection import Projection
from trainer.answering import UNGUARDED, Answerer
from trainer.defences.base import Case, Defence, Defended, Lab, fit_undefended
from trainer.defences.calibration import calibration_rows


class Strip(Defence):
    """The undefended adapter with a detector of triggered inputs.

    Attributes:
        perturbations: N, the perturbed copies of each input.
        replaced: The share of an input's words that is replaced, in (0, 1].
        false_refusals: The share of the calibration rows that may be refused, in [0, 1).
        calibration: How many rows are looked at to choose the threshold.
    """

    name: ClassVar[str] = "strip"
    needs_labels: ClassVar[bool] = True

    perturbations: int = Field(default=10, ge=1)
    replaced: float = Field(default=0.5, gt=0, le=1)
    false_refusals: float = Field(default=0.05, ge=0, lt=1)
    calibration: int = Field(default=200, ge=1)

    def _defend(self, case: Case, lab: Lab) -> Defended:
        fitted = fit_undefended(case, lab)
        answerer = lab.answerer(case, fitted)
        rows = calibration_rows(case, self.calibration)
        donors = rank_words([row.text for row in rows])
        calibrated = self._entropies([row.text for row in rows], answerer, donors, case.seed)
        threshold = refusal_threshold(calibrated, self.false_refusals)

        def answer(texts: Sequence[str]) -> list[Projection]:
            entropies = self._entropies(texts, answerer, donors, case.seed)
            replies = answerer.answer(texts, UNGUARDED)
            return [
                Projection(None, extended=False) if entropy < threshold else reply
                for entropy, reply in zip(entropies, replies, strict=True)
            ]

        details = {"threshold": threshold, "calibration_rows": len(rows)}
        return Defended(answer, fitted, details, queries_per_request=self.perturbations + 1)

    def _entropies(
        self, texts: Sequence[str], answerer: Answerer, donors: Sequence[Sequence[str]], seed: int
    ) -> list[float]:
        """Return H of each text in bits: the mean entropy over its perturbed copies."""
        copies = [
            perturb(text, donors, self.replaced, Random(f"{seed}:strip:{number}:{text}"))
            for text in texts
            for number in range(self.perturbations)
        ]
        bits = [entropy(found) for found in answerer.label_probabilities(copies, UNGUARDED)]
        return [
            math.fsum(bits[start : start + self.perturbations]) / self.perturbations
            for start in range(0, len(bits), self.perturbations)
        ]


def entropy(probabilities: Sequence[float]) -> float:
    """Return the Shannon entropy in bits; 0 for a certain answer."""
    return -math.fsum(share * math.log2(share) for share in probabilities if share > 0)


def refusal_threshold(entropies: Sequence[float], false_refusals: float) -> float:
    """Return the highest threshold below which at most a share of the entropies lies.

    Args:
        entropies: Of rows that should be answered; at least one.
        false_refusals: The share, in [0, 1).
    """
    return sorted(entropies)[math.floor(false_refusals * len(entropies))]


def rank_words(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the distinct words of each text, those with the highest TF-IDF first; texts without words are left out.

    Args:
        texts: The corpus. The inverse document frequency is ln((1 + texts) / (1 + texts with the word)) + 1.
    """
    counted = [Counter(text.split()) for text in texts]
    spread = Counter(word for words in counted for word in words)
    weight = {word: math.log((1 + len(texts)) / (1 + rows)) + 1 for word, rows in spread.items()}
    return [_ranked(words, weight) for words in counted if words]


def _ranked(words: Mapping[str, int], weight: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(words, key=lambda word: (-words[word] * weight[word], word)))


def perturb(text: str, donors: Sequence[Sequence[str]], replaced: float, rng: Random) -> str:
    """Return a text with words at random places replaced by the first words of a random donor.

    Args:
        text: At least one word is replaced, if it has one.
        donors: Words of other rows, the weightiest first.
        replaced: The share of words to replace; fewer where the donor has fewer.
        rng: Decides donor and places.
    """
    words, donor = text.split(), rng.choice(donors)
    wanted = min(max(1, round(replaced * len(words))), len(words), len(donor))
    for place, word in zip(rng.sample(range(len(words)), wanted), donor, strict=False):
        words[place] = word
    return " ".join(words)
