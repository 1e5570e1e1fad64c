"""One cell measured: the defence is given the case, asked clean and triggered rows, and what it says is counted."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from types import MappingProxyType
from typing import NamedTuple

from p2p.tasks import GenerationTask
from trainer.answering import FORCED
from trainer.bench.cases import BenchCase
from trainer.bench.counting import count
from trainer.bench.insider import InsiderLab
from trainer.bench.lab import BenchLab
from trainer.bench.memory import PeakMemory
from trainer.bench.results import CellResult, Cost, CurvePoint, Figures, SelectionFigures
from trainer.bench.selector import Selector
from trainer.bench.suite import DefenceSpec
from trainer.defences.base import Answer, Case, Defended, Fitted, fit_undefended
from trainer.defences.registry import DEFENCES, make_defence

_HALVES = ("p2p", "p2p-unguarded", "repair")
_PACKAGES = ("p2p-guard", "torch", "transformers", "peft")


class Measured(NamedTuple):
    """What a cell gave, without its name.

    Attributes:
        figures: What was counted.
        selection: How S was chosen; None where nothing is selected.
        cost: What it took.
        curve: The training curve.
        details: What the defence counted besides.
    """

    figures: Figures
    selection: SelectionFigures | None
    cost: Cost
    curve: tuple[CurvePoint, ...]
    details: Mapping[str, float] = MappingProxyType({})


def measure(case: Case, rows: BenchCase, spec: DefenceSpec, lab: BenchLab) -> Measured:
    """Measure one defence on one case.

    Args:
        case: What the defender has.
        rows: What the bench knows besides: the test rows, the attack, which rows are poisoned.
        spec: The defence.
        lab: The base model.

    Raises:
        P2PError: The attack or the defence can't be carried out on this case.
        TrainerError: The same, for want of something that the trainer knows.
    """
    memory = PeakMemory()
    trained_in = InsiderLab(lab, rows.insider_ids) if rows.insider_ids else lab
    selector = Selector(spec, lab, trained_in)
    given = dict(spec.parameters)
    fields = DEFENCES[spec.defence].model_fields if spec.defence in DEFENCES else {}
    if "select" in fields:
        given["select"] = selector
    if "repoison" in fields:
        given["repoison"] = spec.repoison
    defended = make_defence(spec.defence, given).defend(case, trained_in)
    figures = count(
        case, rows, defended.answer, lambda: _never_poisoned(case, rows, lab), free_run=_has_free_run(spec)
    )
    return Measured(
        figures,
        selector.figures(rows),
        _cost(case, defended, selector, spec, lab, memory),
        tuple(
            CurvePoint(tokens=tokens, loss=loss)
            for tokens, loss in (defended.fitted.curve if defended.fitted else ())
        ),
        # Some is counted while answering: it is complete now.
        {**defended.details, **selector.details},
    )


def finished_result(measured: Measured, base_model: str, **named: object) -> CellResult:
    """Return a cell's result, with versions and the time.

    Args:
        measured: What it gave.
        base_model: The base model's id, which stands among the versions.
        named: The rest of :class:`trainer.bench.results.CellResult`: key, suite, case, defence, variant.
    """
    return CellResult.model_validate(
        {
            **named,
            "figures": measured.figures,
            "selection": measured.selection,
            "cost": measured.cost,
            "curve": measured.curve,
            "details": measured.details,
            "versions": {"base model": base_model} | {name: version(name) for name in _PACKAGES},
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )


def _has_free_run(spec: DefenceSpec) -> bool:
    """Whether there are two halves, and a model that chooses between them."""
    return spec.defence in _HALVES and spec.parameters.get("view") != FORCED


def _never_poisoned(case: Case, rows: BenchCase, lab: BenchLab) -> Answer:
    """Return a model trained in the same way on the same rows before they were poisoned."""
    clean = case._replace(train=rows.clean)
    fitted: Fitted = fit_undefended(clean, lab)
    answerer = lab.answerer(clean, fitted)
    return lambda texts: answerer.answer(texts, "unguarded")


def _cost(
    case: Case, defended: Defended, selector: Selector, spec: DefenceSpec, lab: BenchLab, memory: PeakMemory
) -> Cost:
    peak = memory.gib()
    fitted = defended.fitted
    extra = len(lab.tokenizer.encode(defended.stamp)) if defended.stamp else 0
    if spec.defence in ("p2p", "repair") and isinstance(case.task, GenerationTask):
        extra += case.task.prefix_tokens
    return Cost(
        tokens=(fitted.tokens if fitted else 0) + selector.tokens,
        seconds=round((fitted.seconds if fitted else 0.0) + selector.seconds + selector.shared_seconds, 1),
        peak_memory_gib=None if peak is None else round(peak, 2),
        extra_prompt_tokens=extra,
        queries_per_request=round(defended.queries_per_request, 2),
    )
