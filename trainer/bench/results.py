"""What a measured cell says: plain data, kept as one JSON file a cell, from which every table and picture is made."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from p2p.metrics.rate import Rate

SCHEMA_VERSION: Final = 1


class Record(BaseModel):
    """A block of a result: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CaseId(Record):
    """What is attacked, and how: cells that share it can stand in one table.

    Attributes:
        dataset: The data set's name, such as ``sst2``.
        task: ``classification`` or ``generation``.
        attack: The attack's label in tables, such as ``badnets:mn`` or ``none`` for a never-poisoned set.
        rate: The share of training rows that is poisoned, in [0, 1).
        rows: How many training rows there are.
        seed: Decides rows, poison and training.
    """

    dataset: str
    task: Literal["classification", "generation"] = "classification"
    attack: str
    rate: float = Field(ge=0, lt=1)
    rows: int = Field(ge=1)
    seed: int = 0


class Figures(Record):
    """The figures of one defence on one case.

    Attributes:
        clean_accuracy: CA as the task counts it (exact labels, exact final numbers, replies free of the attacker's).
        attack_success_rate: ASR over the triggered rows that count; None where there is no attack. In maths only those count that the same
            defence solves without the trigger: an answer that a model does not find can't be seen to be shifted.
        attack_success_on_all: In maths, the same over all triggered rows, at most about the share that is solved; None elsewhere.
        floor: The same share over the same rows without the trigger. Where the trigger rewrites the whole input, the share that
            the never-poisoned model gives on the rewritten rows.
        extension_rate: The share of free-running replies to triggered rows in the extended half; None without halves.
        quality: Mean ROUGE-L F1 against the references on clean rows, in [0, 1]; None for tasks without one.
        quality_interval: Both ends of its 95 % bootstrap interval over the rows, see :func:`p2p.metrics.mean.bootstrap_interval`; None
            where there is no quality, and in cells that were measured before there was one.
    """

    clean_accuracy: Rate
    attack_success_rate: Rate | None = None
    attack_success_on_all: Rate | None = None
    floor: Rate | None = None
    extension_rate: Rate | None = None
    quality: float | None = None
    quality_interval: tuple[float, float] | None = None


class SelectionFigures(Record):
    """How the re-poisoned rows were chosen.

    Attributes:
        method: ``trusted``, ``screened`` or ``random``.
        trusted_rows: How many trusted rows were given.
        kept: How many training rows were kept for S.
        kept_poisoned: How many of these were poisoned; known here because the attack is ours.
        poisoned: How many training rows were poisoned.
        seconds: What choosing took.
        shared_seconds: What the frozen layers took on the rows to choose from, whose states the training uses as well; None in cells
            that were measured before it was told apart, where ``seconds`` has it.
    """

    method: str
    trusted_rows: int = 0
    kept: int = 0
    kept_poisoned: int = 0
    poisoned: int = 0
    seconds: float = 0.0
    shared_seconds: float | None = None


class Cost(Record):
    """What it took.

    Attributes:
        tokens: Tokens trained on.
        seconds: Training time, selection included.
        peak_memory_gib: The most memory held while the cell was measured, in GiB, see :class:`trainer.bench.memory.PeakMemory`; None in cells that
            were measured before that was counted.
        extra_prompt_tokens: Tokens that serving adds to a prompt.
        queries_per_request: Passes through a model that one request costs, see :class:`trainer.defences.base.Defended`; None in cells
            that were measured before it was kept.
    """

    tokens: int = 0
    seconds: float = 0.0
    peak_memory_gib: float | None = None
    extra_prompt_tokens: int = 0
    queries_per_request: float | None = None


class CurvePoint(Record):
    """One point of a training curve: tokens seen, and the mean loss since the point before, in nats."""

    tokens: int
    loss: float


class CellResult(Record):
    """One cell of the grid.

    Attributes:
        key: The content key: 16 hex digits over everything that decides the figures.
        suite: The suite that asked for it first.
        case: What is attacked.
        defence: The row's name in tables: ``none``, ``p2p``, ``p2p-unguarded`` (the same adapter without the guard), ``onion``, ...
        variant: What differs from the defence's defaults, such as ``{"selection": "trusted", "trusted_rows": "150"}``; an ablation's name
            and value.
        figures: What was measured.
        selection: How S was chosen; None where nothing is selected.
        cost: What it took.
        curve: The training curve; empty where nothing was trained.
        details: What the defence counted besides, such as rows left out or inputs without a translation.
        versions: Versions of this project, torch, transformers and peft.
        finished: When, in ISO 8601, UTC.
    """

    schema_version: Literal[1] = 1
    key: str
    suite: str
    case: CaseId
    defence: str
    variant: dict[str, str] = Field(default_factory=dict)
    figures: Figures
    selection: SelectionFigures | None = None
    cost: Cost = Cost()
    curve: tuple[CurvePoint, ...] = ()
    details: dict[str, float] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    finished: str = ""
