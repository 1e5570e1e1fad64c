"""Faults under traffic, one after the other: what clients see, how long until it is over, and that nothing is lost or unguarded.

Clients ask again and again, some for labels and some for streamed text. ``stand-in`` is an engine that can be made to misbehave in every
way; ``vllm`` is real vLLM on a CPU with SmolLM2-135M-Instruct and two adapters that change nothing.

    .venv/bin/python -m benchmarks.faults stand-in --write
    .venv/bin/python -m benchmarks.faults stand-in --only "engine killed"
    .venv/bin/python -m benchmarks.faults vllm --write
"""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import fault_report, stand_in_faults, vllm_faults
from benchmarks.documents import RESULTS
from benchmarks.fault_traffic import Row, under_traffic


def stand_in(only: Sequence[str]) -> Iterator[Row]:
    """Go through the faults of a stand-in, each in a place of its own."""
    for fault, setting in stand_in_faults.FAULTS:
        if not only or fault.name in only:
            with stand_in_faults.place_for(setting) as place:
                yield uvloop.run(under_traffic(fault, place, stand_in_faults.traffic_to(place)))


def table(rows: Sequence[Row]) -> Table:
    """Return the rows for a terminal."""
    found = Table("fault", "until answered again", "again, s", "longest wait, s", "unanswered", "unguarded")
    for row in rows:
        again = "never" if row.recovery_s is None else f"{row.recovery_s:.2f}"
        figures = (again, f"{row.longest_wait_s:.2f}", str(row.unanswered), str(row.unguarded))
        found.add_row(row.name, str(row.during), *figures)
    return found


def main() -> None:
    """Go through the faults, print the table, and write it into the documentation where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engine", choices=["stand-in", "vllm"])
    parser.add_argument("--only", action="append", default=[], help="a fault's name")
    parser.add_argument("--write", action="store_true", help=f"into {fault_report.DOCUMENT} and {RESULTS}")
    given = parser.parse_args()
    # Told to end, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    is_stand_in = given.engine == "stand-in"
    order = [fault.name for fault in (stand_in_faults.ALL if is_stand_in else vllm_faults.ALL)]
    rows = []
    for row in (stand_in if is_stand_in else vllm_faults.run)(given.only):
        rows.append(row)
        Console(stderr=True, width=160).print(row)
        if given.write:
            fault_report.write(given.engine, [row], order)
    Console(width=160).print(table(rows))
    if any(row.unguarded or row.unanswered or row.recovery_s is None for row in rows):
        sys.exit("an answer was not guarded, a request had no end, or the guard did not get over a fault")


if __name__ == "__main__":
    main()
