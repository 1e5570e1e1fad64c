"""How results are called in tables and charts."""

import re
from typing import NamedTuple

from trainer.reporting.pooling import CaseKey, Pooled

UNDEFENDED = "none"
GUARDED = "p2p"
UNGUARDED = "p2p-unguarded"
NO_ATTACK = "none"

SETTINGS = ("selection", "trusted_rows")
"""Variant keys that say what a defender has to hand. All others are ablations: a part of the defence changed or left out."""

_DEFENCES = {
    UNDEFENDED: "undefended",
    GUARDED: "P2P guarded",
    UNGUARDED: "P2P without the guard",
    "repair": "P2P repair",
    "onion": "ONION",
    "strip": "STRIP",
}
_DATASETS = {
    "ag_news": "AG News",
    "agnews": "AG News",
    "cr": "CR",
    "dialogsum": "DialogSum",
    "gsm8k": "GSM8K",
    "mawps": "MAWPS",
    "sst2": "SST-2",
    "sst2-all": "SST-2",
    "sst2-deep": "SST-2",
    "sst2-drawn": "SST-2, drawn label words",
    "svamp": "SVAMP",
}


def dataset_name(name: str) -> str:
    """Return a data set's name as its paper writes it, or as it is."""
    return _DATASETS.get(name, name)


def defence_name(name: str) -> str:
    """Return a defence's name for readers."""
    return _DEFENCES.get(name, name)


def percent(share: float) -> str:
    """Write a share in [0, 1] as a percentage with no more digits than it has."""
    return f"{100 * share:.4g} %"


def attack_name(attack: str) -> str:
    """Return an attack's label without a poison rate at its end, such as that of ``word 10 %``: the rate is told beside it."""
    return re.sub(r"[\s,]+\d+(\.\d+)? ?%$", "", attack)


def case_name(case: CaseKey) -> str:
    """Name a case: data set, attack, poison rate and rows."""
    if not case.rate:
        asked = f", asked with {attack_name(case.attack)}" if case.attack != NO_ATTACK else ""
        return f"{dataset_name(case.dataset)}, no poison{asked}, {case.rows:,} rows"
    return f"{dataset_name(case.dataset)}, {attack_name(case.attack)}, {percent(case.rate)} of {case.rows:,} rows"


def selection_of(row: Pooled) -> str:
    """Return how S was chosen: ``trusted``, ``screened``, ``random`` or nothing."""
    measured = row.cells[0].selection
    return measured.method if measured else _said(row).method


def trusted_rows_of(row: Pooled) -> int | None:
    """Return how many trusted rows the defence has: as its variant says, or, where it takes S from them, as was measured."""
    measured, said = row.cells[0].selection, _said(row).number
    return measured.trusted_rows if measured and measured.method == "trusted" else said


class _Said(NamedTuple):
    """What a variant says of the rows: the way of choosing, and the number of trusted ones."""

    method: str
    number: int | None


def _said(row: Pooled) -> _Said:
    """Read ``{"selection": "trusted", "trusted_rows": "150"}`` or, for short, ``{"selection": "trusted 150"}``."""
    variant = dict(row.variant)
    method, _, number = variant.get("selection", "").partition(" ")
    count = variant.get("trusted_rows", number)
    return _Said(method, int(count) if count.isdecimal() else None)


def settings_name(row: Pooled) -> str:
    """Name what the defender had to hand, such as ``150 trusted rows`` or ``screened rows``; empty where nothing is chosen."""
    method, count = selection_of(row), trusted_rows_of(row)
    if method == "trusted" or (not method and count):
        return f"{count:,} trusted rows" if count else "trusted rows"
    rows = f"{method} rows" if method else ""
    return f"{rows} and {count:,} trusted" if rows and count else rows


def ablated(row: Pooled) -> tuple[tuple[str, str], ...]:
    """Return the variant's keys that are ablations, with their values."""
    return tuple((key, value) for key, value in row.variant if key not in SETTINGS)


def chosen_name(row: Pooled) -> str:
    """Name what the defender had to hand and what is ablated, such as ``screened rows, rho = 0.1``."""
    return ", ".join(filter(None, (settings_name(row), *(f"{key} = {value}" for key, value in ablated(row)))))


def row_name(row: Pooled) -> str:
    """Name a row of a table: defence, settings and what is ablated."""
    changed = ", ".join(f"{key} = {value}" for key, value in ablated(row))
    name = defence_name(row.defence)
    settings = settings_name(row)
    return f"{name}{f' ({settings})' if settings else ''}{f' [{changed}]' if changed else ''}"


def chart_name(row: Pooled) -> str:
    """Name a row in few words, for a legend."""
    settings = settings_name(row)
    short = {GUARDED: "P2P", UNGUARDED: "no guard"}.get(row.defence, defence_name(row.defence))
    if row.defence not in {GUARDED, UNGUARDED}:
        settings = settings.removesuffix(
            " trusted rows"
        )  # the name says what is trusted, or has no room for it
    changed = ", ".join(f"{key} = {value}" for key, value in ablated(row))
    return ", ".join(part for part in (short, settings, changed) if part)
