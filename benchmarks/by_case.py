"""Benchmarks that measure a suite's cases one by one: what they are asked, and their figures, which are kept as each case ends."""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainer.bench.suite import Suite


def arguments(about: str, suite: str, cases: str) -> argparse.ArgumentParser:
    """Return a command line that takes a suite, its cases, the data sets' folder and a seed.

    Args:
        about: The benchmark's documentation.
        suite: What is measured unless another suite is named.
        cases: What ``--case`` does.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default=suite)
    parser.add_argument("--data", type=Path, default=Path(), help="The folder of data sets.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", action="append", default=[], help=f"{cases}; may be repeated.")
    return parser


def require_cases(parser: argparse.ArgumentParser, suite: Suite, cases: Iterable[str]) -> None:
    """End the program with an error if a suite lacks a case.

    Args:
        parser: Says what is wrong.
        suite: What is measured.
        cases: What was asked for.
    """
    if unknown := sorted(set(cases) - set(suite.cases)):
        parser.error(f"the suite has no case {', '.join(unknown)}")


def read_figures(path: Path) -> dict[str, Any]:
    """Return what was measured before, by case; nothing where there is no file.

    Args:
        path: A JSON list of figures that name their ``case``.
    """
    if not path.exists():
        return {}
    return {found["case"]: found for found in json.loads(path.read_text(encoding="utf-8"))}


def keep_figures(path: Path, found: Iterable[Mapping[str, Any]]) -> None:
    """Write the figures of all cases.

    Args:
        path: Where.
        found: What was measured, each with its ``case``.
    """
    path.write_text(json.dumps(list(found), indent=1) + "\n", encoding="utf-8")
