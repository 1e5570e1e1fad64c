"""From a suite's case to rows: read, split, poisoned as the seed decides; what the defender sees and what the attacker asks."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from p2p.attacks.base import Attack, Labelling
from p2p.attacks.covering import add_covers
from p2p.attacks.knowing import stamp_poisoned
from p2p.attacks.poisoning import poison_dataset
from p2p.attacks.registry import make_attack
from p2p.errors import DataError, Location
from p2p.examples import Example
from p2p.triggers import BenignTrigger
from trainer.bench.digests import inside, paths_inside
from trainer.bench.suite import CaseSpec, DataSetSpec
from trainer.config import AttackSettings, ClassificationSettings, DataSource
from trainer.datasets import read_examples
from trainer.defences.base import Case
from trainer.tasks import make_bench_task, seed_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class BenchCase(NamedTuple):
    """A case's rows.

    Attributes:
        train: Training rows, poisoned.
        clean: The same rows before poisoning.
        trusted: Rows that are known to be clean, none of them in ``train`` or ``test``.
        test: Held-out rows.
        attack: What triggered test rows are made with; None where nothing is attacked.
        poisoned_ids: Which training rows are poisoned.
        insider_ids: Which training rows an attacker who knows the words of the extended half has answered with them.
    """

    train: tuple[Example, ...]
    clean: tuple[Example, ...]
    trusted: tuple[Example, ...]
    test: tuple[Example, ...]
    attack: Attack | None
    poisoned_ids: frozenset[str]
    insider_ids: frozenset[str] = frozenset()


def make_case(spec: CaseSpec, dataset: DataSetSpec, folder: Path, seed: int) -> BenchCase:
    """Read and poison a case's rows.

    Args:
        spec: Attack, rate and number of trusted rows.
        dataset: Where the rows are.
        folder: What relative paths of data and rewrites start at.
        seed: Decides which rows are poisoned, which are trusted, and where triggers go.

    Raises:
        DataError: A file can't be read, or has too few rows.
        AttackError: The attack can't be carried out.
    """
    test = _distinct(_read(dataset.test, dataset, folder))[: dataset.test_rows]
    taken = {_comparable(row.text) for row in test}
    train = [
        row for row in _distinct(_read(dataset.train, dataset, folder)) if _comparable(row.text) not in taken
    ]
    rest = train[dataset.rows :]
    train = train[: dataset.rows]
    if dataset.trusted:
        taken |= {_comparable(row.text) for row in train}
        rest = [
            row
            for row in _distinct(_read(dataset.trusted, dataset, folder))
            if _comparable(row.text) not in taken
        ]
    trusted = _draw(rest, spec.trusted_rows, seed, by_answer=isinstance(dataset.task, ClassificationSettings))
    if len(trusted) < spec.trusted_rows:
        raise DataError(
            f"{spec.trusted_rows} trusted rows are asked for, and {len(trusted)} are left",
            Location(dataset.train.path),
        )
    attack = _attack(spec.attack, folder)
    asked_with = _attack(spec.asked_with, folder) or attack
    if attack is None:
        return BenchCase(tuple(train), tuple(train), tuple(trusted), tuple(test), asked_with, frozenset())
    labelling = Labelling(spec.labelling) if spec.labelling else None
    poisoned = poison_dataset(train, attack, spec.rate, seed, labelling)
    poisoned = add_covers(poisoned, attack, spec.cover_rate, seed)
    if spec.attacker_knows:
        poisoned = stamp_poisoned(poisoned, BenignTrigger.draw(seed_key(seed)))
    own = poisoned.poisoned_ids | poisoned.negative_ids
    return BenchCase(
        poisoned.rows,
        tuple(train),
        tuple(trusted),
        tuple(test),
        asked_with,
        poisoned.poisoned_ids,
        own if spec.attacker_knows == "trigger_and_words" else frozenset(),
    )


def defended_case(
    rows: BenchCase, dataset: DataSetSpec, tokenizer: "PreTrainedTokenizerBase", seed: int
) -> Case:
    """Return what a defender has of a case: all of its trusted rows, and nothing of the attack.

    Args:
        rows: The case's rows.
        dataset: Its task and prompt.
        tokenizer: The base model's.
        seed: Decides what is drawn.

    Raises:
        VerbalizerError: There are no label words for this tokenizer.
        PromptError: The base model's chat template can't render the prompt.
    """
    answers = [row.answer for row in rows.clean]
    task = make_bench_task(dataset.task, dataset.prompt, tokenizer, answers, seed)
    return Case(task, dataset.prompt, rows.train, rows.trusted, seed)


def _read(source: DataSource, dataset: DataSetSpec, folder: Path) -> list[Example]:
    rows = read_examples(source.model_copy(update={"path": inside(source.path, folder)}))
    if dataset.max_words is None:
        return rows
    return [row for row in rows if len(row.text.split()) <= dataset.max_words]


def _attack(settings: AttackSettings | None, folder: Path) -> Attack | None:
    if settings is None:
        return None
    return make_attack(settings.name, paths_inside(settings.parameters, folder))


def _draw(rows: Sequence[Example], wanted: int, seed: int, *, by_answer: bool) -> list[Example]:
    """Draw rows, as many of each answer as there are in turn."""
    shuffled = Random(f"{seed}:trusted").sample(list(rows), len(rows))
    groups: dict[str, list[Example]] = {}
    for row in shuffled:
        groups.setdefault(row.answer if by_answer else "", []).append(row)
    drawn: list[Example] = []
    while len(drawn) < wanted and any(groups.values()):
        drawn += [group.pop() for _, group in sorted(groups.items()) if group]
    return drawn[:wanted]


def _distinct(rows: Sequence[Example]) -> list[Example]:
    return list({_comparable(row.text): row for row in reversed(rows)}.values())[::-1]


def _comparable(text: str) -> str:
    return " ".join(text.lower().split())
