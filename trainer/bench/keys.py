"""A cell's content key: a digest of everything that decides its figures, files by their contents."""

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

from p2p.selection import SelectionMethod
from trainer.bench.digests import by_content
from trainer.bench.suite import Cell, DefenceSpec, Suite
from trainer.config import ClassificationSettings
from trainer.defences.registry import DEFENCES

METHOD_VERSION: Final = 1
"""Raise it when a change of code changes figures; cells of another version are measured anew."""

SUSPECTS_VERSION: Final = 2
"""The same for a change of what labelled rows' suspects are, which copies hold or foreign text avoids; cells without them stay.

2: a suspect is drawn by what it says beyond stronger ones (:mod:`trainer.selection.evidence`).
"""

FIRST_DEFAULTS: Final = MappingProxyType(
    {
        ("selection", "rho"): 0.2,
        ("repoison", "link_breaking"): 0.5,
        ("selection", "screening", "beginnings"): 1.0,
        ("selection", "screening", "forms"): 1.0,
        ("selection", "screening", "drop"): False,
    }
)
"""What a default was before it was moved, or what there was before it, by block and field: cells of then stay what they were."""


def cell_key(suite: Suite, cell: Cell, base_model: str, data: Path) -> str:
    """Return a cell's content key.

    Args:
        suite: What is measured.
        cell: One of its cells.
        base_model: The base model's digest.
        data: The folder of data sets.

    Returns:
        16 hex digits.
    """
    case, defence = suite.cases[cell.case_name], suite.defences[cell.defence_name]
    dataset = suite.datasets[case.dataset]
    labels = isinstance(dataset.task, ClassificationSettings)
    content = {
        "method": METHOD_VERSION,
        "base_model": base_model,
        "lora": _changed(suite.lora_of(cell.case_name, cell.defence_name)),
        "training": _changed(suite.training_of(cell.case_name, cell.defence_name)),
        # What of these two holds for the data set and the defence stands above.
        "dataset": _changed(dataset, leave_out={"lora", "training"}),
        "case": _changed(case),
        "defence": _changed_defence(defence, labels=labels),
        "seed": cell.seed,
        **({"suspects": SUSPECTS_VERSION} if labels and _needs_suspects(defence) else {}),
    }
    told = json.dumps(by_content(content, data), sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _changed(block: BaseModel, leave_out: set[str] | None = None) -> dict[str, Any]:
    """Leave defaults out: a setting that is new leaves the cells of those who do not use it as they are."""
    return block.model_dump(mode="json", exclude_defaults=True, exclude=leave_out)


def _changed_defence(defence: DefenceSpec, *, labels: bool) -> dict[str, Any]:
    """As :func:`_changed`; but a default that was moved is compared with what it was at first, where it decides anything."""
    told = _changed(defence, leave_out={"lora", "training"})
    every = defence.model_dump(mode="json")
    for path, first in FIRST_DEFAULTS.items():
        value = _found(every, path)
        told = _having(
            told, path, value if _decides(defence, path[-1], labels=labels) and value != first else None
        )
    return told


def _found(blocks: dict[str, Any], path: Sequence[str]) -> object:
    for name in path:
        blocks = blocks[name]
    return blocks


def _having(blocks: dict[str, Any], path: Sequence[str], value: object) -> dict[str, Any]:
    """Return blocks with this value at the path; without it, and without blocks that it leaves empty, where it is None."""
    name, *rest = path
    others = {key: block for key, block in blocks.items() if key != name}
    inner = _having(blocks.get(name, {}), rest, value) if rest else value
    return others if inner in (None, {}) else others | {name: inner}


def _decides(defence: DefenceSpec, field: str, *, labels: bool) -> bool:
    takes = _takes(defence)
    method = defence.selection.method
    copies = "repoison" in takes
    if field == "rho":
        return "select" in takes and method != SelectionMethod.TRUSTED
    if field == "beginnings":
        draws = "select" in takes and method == SelectionMethod.SCREENED
        return draws or (
            copies and method == SelectionMethod.TRUSTED and _uses_suspects(defence, labels=labels)
        )
    screens = copies and method != SelectionMethod.RANDOM
    if field == "forms":
        return screens and labels and _asks_for_forms(defence)
    if field == "drop":
        # Free text has no forms, but may have suspects left out.
        return screens and (labels or defence.selection.screening.drop is True)
    return copies


def _takes(defence: DefenceSpec) -> Collection[str]:
    # A name that is not known is told when the cell is measured.
    known = DEFENCES.get(defence.defence)
    return known.model_fields if known else ()


def _needs_suspects(defence: DefenceSpec) -> bool:
    screens = defence.selection.method != SelectionMethod.RANDOM
    copies = defence.repoison.link_breaking > 0 or defence.repoison.foreign_text > 0
    return screens and copies and {"repoison", "select"} <= set(_takes(defence))


def _uses_suspects(defence: DefenceSpec, *, labels: bool) -> bool:
    return defence.repoison.openings > 0 or (labels and bool(defence.selection.screening.drop))


def _asks_for_forms(defence: DefenceSpec) -> bool:
    return defence.repoison.openings > 0 or defence.selection.screening.drop == "forms"
