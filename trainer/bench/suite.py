"""A suite: which cases are measured with which defences. :mod:`trainer.bench.suite_files` reads one from YAML.

Paths in it are relative to the folder of data sets that the command is given, or to the working directory.
"""

from collections.abc import Sequence
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from p2p.prompts import PromptTemplate
from p2p.repoison import RepoisonSettings
from trainer.config import (
    AttackSettings,
    DataSource,
    LoraSettings,
    Settings,
    TaskSettings,
    TrainingSettings,
)
from trainer.errors import ConfigError
from trainer.selection.settings import SelectionSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""What files of results and locks may be called by."""


class DataSetSpec(Settings):
    """A data set, and how it is asked.

    Attributes:
        train: Clean training rows; the attack poisons them.
        test: Held-out rows.
        trusted: Where trusted rows come from; None takes training rows that are not trained on.
        task: Labels or free text.
        prompt: The prompt template.
        rows: How many training rows are used.
        test_rows: How many test rows are asked, the first ones.
        max_words: Longer rows are left out of all splits; None keeps all.
        lora: Where adapters sit, if not where the suite says.
        training: How they are trained, if not as the suite says.
    """

    train: DataSource
    test: DataSource
    trusted: DataSource | None = None
    task: TaskSettings
    prompt: PromptTemplate
    rows: int = Field(ge=1)
    test_rows: int = Field(ge=1)
    max_words: int | None = Field(default=None, ge=1)
    lora: LoraSettings | None = None
    training: TrainingSettings | None = None


class CaseSpec(Settings):
    """An attack on a data set.

    Attributes:
        dataset: A key of the suite's data sets.
        attack: The family and its parameters; None poisons nothing.
        asked_with: The attack that test rows are asked with, where it differs from the one that poisons, or where nothing is
            poisoned.
        label: What tables call the attack.
        rate: The share of rows that is poisoned.
        cover_rate: The share of rows that carry the trigger and keep their answer, besides.
        labelling: Whose rows are poisoned; None takes what the attack's source does.
        trusted_rows: How many trusted rows the defender has.
        attacker_knows: What the attacker knows of the defence. ``trigger``: the benign trigger that the seed gives (five words, before
            the input), which he puts into his rows beside his own. ``trigger_and_words``: besides, the words of the extended half (or the prefix p), which his rows
            are answered with.
    """

    dataset: str
    attack: AttackSettings | None = None
    asked_with: AttackSettings | None = None
    label: str
    rate: float = Field(default=0.0, ge=0, lt=1)
    cover_rate: float = Field(default=0.0, ge=0, lt=1)
    labelling: Literal["dirty", "clean", "any"] | None = None
    trusted_rows: int = Field(default=0, ge=0)
    attacker_knows: Literal["trigger", "trigger_and_words"] | None = None

    @model_validator(mode="after")
    def _poisons_or_not(self) -> Self:
        if self.attacker_knows and self.attack is None:
            raise ValueError("attacker_knows needs an attack")
        if self.cover_rate and self.attack is None:
            raise ValueError("a cover_rate needs an attack")
        if (self.attack is None) != (self.rate == 0):
            raise ValueError("a rate above 0 needs an attack, and an attack a rate above 0")
        return self


class DefenceSpec(Settings):
    """A defence and what differs from its defaults.

    Attributes:
        defence: Its name, as ``trainer.defences.registry`` knows it.
        variant: What tables say of it: an ablation's name and value.
        parameters: Its own parameters.
        selection: For defences that select rows.
        repoison: For defences that make copies.
        trusted: Whether the defence is given the case's trusted rows.
        trusted_rows: How many of these, the first ones; None gives it all.
        lora: Where its adapters sit, by name of the setting, where that differs from the data set's or the suite's.
        training: How they are trained, likewise. Both hold for all that is trained in its cells, undefended adapters included.
    """

    defence: str
    variant: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    selection: SelectionSettings = SelectionSettings()
    repoison: RepoisonSettings = RepoisonSettings()
    trusted: bool = True
    trusted_rows: int | None = Field(default=None, ge=1)
    lora: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)


class GridSpec(Settings):
    """Cases times defences times seeds.

    Attributes:
        cases: Keys of the suite's cases.
        defences: Keys of its defences.
        seeds: Decide rows, poison and training.
    """

    cases: tuple[str, ...] = Field(min_length=1)
    defences: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = (0,)


class Suite(Settings):
    """What ``p2p-guard bench`` measures.

    Attributes:
        name: The suite's name.
        about: What it is for and what it costs, in a sentence.
        base_model: A directory, a ``.gguf`` file, or a model id of the hub.
        lora: Where adapters sit.
        training: How they are trained.
        datasets: Data sets by name.
        cases: Cases by name.
        defences: Defences by name.
        grid: What is combined with what.
    """

    name: Name
    about: str
    base_model: str = ".models/SmolLM2-135M-Instruct"
    lora: LoraSettings = LoraSettings()
    training: TrainingSettings = TrainingSettings()
    datasets: dict[Name, DataSetSpec]
    cases: dict[Name, CaseSpec]
    defences: dict[Name, DefenceSpec]
    grid: tuple[GridSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for case in self.cases.values():
            _require(case.dataset, self.datasets, "data set")
        for block in self.grid:
            for name in block.cases:
                _require(name, self.cases, "case")
            for name in block.defences:
                _require(name, self.defences, "defence")
        return self

    @model_validator(mode="after")
    def _changes_fit(self) -> Self:
        for block in self.grid:
            for case, name in product(block.cases, block.defences):
                try:
                    self.lora_of(case, name), self.training_of(case, name)
                except ValidationError as error:
                    fault = error.errors()[0]
                    place = ".".join(map(str, fault["loc"]))
                    raise ValueError(f"defence {name!r}: {place}: {fault['msg']}") from None
        return self

    def lora_of(self, case: str, defence: str) -> LoraSettings:
        """Return where adapters sit in the cells of a case and a defence: as the suite says, or the data set, or the defence."""
        whole = self.datasets[self.cases[case].dataset].lora or self.lora
        return LoraSettings.model_validate(whole.model_dump() | self.defences[defence].lora)

    def training_of(self, case: str, defence: str) -> TrainingSettings:
        """Return how adapters are trained in the cells of a case and a defence, likewise."""
        whole = self.datasets[self.cases[case].dataset].training or self.training
        return TrainingSettings.model_validate(whole.model_dump() | self.defences[defence].training)


class Cell(Settings):
    """One cell of the grid: everything that decides its figures.

    Attributes:
        case_name: The case's key in the suite.
        defence_name: The defence's key in the suite.
        seed: Decides rows, poison and training.
    """

    case_name: str
    defence_name: str
    seed: int


def cells_of(suite: Suite) -> list[Cell]:
    """Return every cell of a suite once, those of one case and seed side by side, in the order of the grid.

    Args:
        suite: The suite.
    """
    asked = [
        Cell(case_name=case, defence_name=defence, seed=seed)
        for block in suite.grid
        for case in block.cases
        for seed in block.seeds
        for defence in block.defences
    ]
    first = {
        pair: at for at, pair in reversed(list(enumerate((cell.case_name, cell.seed) for cell in asked)))
    }
    return sorted(dict.fromkeys(asked), key=lambda cell: first[cell.case_name, cell.seed])


def require_names(suite: Suite, cases: Sequence[str], defences: Sequence[str]) -> None:
    """Check that a suite has the cases and defences that were asked for.

    Args:
        suite: The suite.
        cases: Names of cases.
        defences: Names of defences.

    Raises:
        ConfigError: It lacks one; the message has those that it has.
    """
    try:
        for name in cases:
            _require(name, suite.cases, "case")
        for name in defences:
            _require(name, suite.defences, "defence")
    except ValueError as error:
        raise ConfigError(f"suite {suite.name}: {error}") from None


def _require(name: str, known: dict[str, Any], kind: str) -> None:
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}, known are {', '.join(known)}")
